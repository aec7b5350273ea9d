"""A message that Redis has handed to a client is lost if that is killed before kombu notes there that it has it.

It is the one loss that leaves no trace for `procman lost` (docs/lost.md), and the only one that the trials of kills
excuse, by what Redis itself has seen.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.celery_environments import CELERY_4_4_REDIS, CELERY_REDIS, CelerySpec, environment_of
from tests.contracts.trials.redis_monitor import Monitor, monitored, never_noted
from tests.redis_server import Redis, running_redis

pytestmark = pytest.mark.celery

CLIENT = """
import os, signal, sys
from celery import Celery
from kombu.transport import redis

url, when = sys.argv[1:]
app = Celery(broker=url, set_as_current=False)
app.send_task("work", task_id="task-1", queue="work")
note = redis.QoS.append

def note_and_end(*arguments):
    if when == "after":
        note(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

redis.QoS.append = note_and_end
with app.connection_for_read() as connection, connection.Consumer(app.amqp.queues.select_add("work")):
    while True:
        connection.drain_events(timeout=60)
"""
RESTORE = """
import sys
from celery import Celery

app = Celery(broker=sys.argv[1], set_as_current=False)
app.conf.broker_transport_options = {"visibility_timeout": 0}
with app.connection_for_read() as connection:
    connection.default_channel.qos.restore_visible(num=None)
"""
BOTH = [CELERY_REDIS, CELERY_4_4_REDIS]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with running_redis(tmp_path) as running:
        yield running


@pytest.fixture
def monitor(redis: Redis) -> Iterator[Monitor]:
    with monitored(redis) as following:
        yield following


def run(spec: CelerySpec, script: str, *words: str) -> int:
    environment = environment_of(spec)
    if environment is None:
        pytest.skip(spec.missing)
    return subprocess.run([environment.python, "-c", script, *words], check=False, timeout=120).returncode


@pytest.mark.parametrize("spec", BOTH, ids=lambda spec: spec.version)
def test_client_killed_before_it_notes_a_message_loses_it(spec: CelerySpec, redis: Redis, monitor: Monitor) -> None:
    assert run(spec, CLIENT, redis.url(), "before") == -signal.SIGKILL
    assert (redis.ask("LLEN", "work"), redis.ask("HLEN", "unacked")) == (":0", ":0")
    assert never_noted(monitor.lines(redis)) == {"task-1": 1}
    assert run(spec, RESTORE, redis.url()) == 0
    assert redis.ask("LLEN", "work") == ":0"


@pytest.mark.parametrize("spec", BOTH, ids=lambda spec: spec.version)
def test_client_killed_after_it_has_noted_a_message_loses_nothing(
    spec: CelerySpec, redis: Redis, monitor: Monitor
) -> None:
    assert run(spec, CLIENT, redis.url(), "after") == -signal.SIGKILL
    assert (redis.ask("LLEN", "work"), redis.ask("HLEN", "unacked")) == (":0", ":1")
    assert never_noted(monitor.lines(redis)) == {}
    assert run(spec, RESTORE, redis.url()) == 0
    assert (redis.ask("LLEN", "work"), redis.ask("HLEN", "unacked")) == (":1", ":0")
    # Only that the message is in the queue again keeps it from being lost.
    assert never_noted(monitor.lines(redis)) == {"task-1": 1}
