"""A look at the queues of workers that do not run: by the records they leave, with kombu alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from procman.agent import broker_record
from procman.probes import broker, broker_address_script
from procman.probes.broker_facts import BrokerFacts, QueueFacts
from procman.probes.runner import Place, read_answer
from tests.celery_environments import CeleryEnvironment
from tests.redis_server import Redis

pytestmark = pytest.mark.celery

SECRET = "hunter-22-of-nobody"

RECORD = """
import importlib.util, sys
from celery import Celery
from kombu import Queue
spec = importlib.util.spec_from_file_location("broker_record", {source!r})
record = importlib.util.module_from_spec(spec)
spec.loader.exec_module(record)
app = Celery(broker={url!r})
app.conf.task_queues = [Queue(name, queue_arguments={{"x-max-priority": 9}}) for name in {queues!r}]
app.conf.broker_transport_options = {{"global_keyprefix": "shop-", "on_something": print}}
{more}
open({path!r}, "w").write(record.record_of(app))
"""


def record(celery: CeleryEnvironment, path: Path, url: str, *queues: str, more: str = "") -> Path:
    code = RECORD.format(source=broker_record.__file__, url=url, queues=queues, path=str(path), more=more)
    done = subprocess.run([celery.python, "-c", code], stderr=subprocess.PIPE, text=True, check=True)
    # It would be in the log of every worker.
    assert done.stderr == ""
    return path


def look(celery: CeleryEnvironment, **files: Path) -> tuple[BrokerFacts, ...]:
    """Look as another user may not: only their owner can reach the virtualenvs of the tests."""
    sources = "\n".join(path.read_text() for path in broker.LOOK_SOURCES)
    asked = {
        "files": {name: str(path) for name, path in files.items()},
        "queues": [],
        "seconds": 10,
        "management": None,
    }
    words = [str(celery.python), "-", "shop", json.dumps(asked)]
    done = subprocess.run(words, input=sources, capture_output=True, text=True, check=True)
    assert SECRET not in done.stdout
    answer = read_answer(done.stdout)
    assert answer
    return broker.facts_of_look(answer, Place(celery.python, {}, Path("/"), None, None))


def test_messages_and_unacknowledged_messages_of_a_redis_are_counted(
    celery: CeleryEnvironment, redis: Redis, tmp_path: Path
) -> None:
    priorities = "app.send_task('crop', queue='big', priority=3)"
    holding = """
connection = app.connection_for_write()
channel = connection.channel()
channel.basic_consume('big', False, lambda message: None, 'tag')
channel.qos.prefetch_count = 1
connection.drain_events(timeout=10)
import os
record_text = record.record_of(app)
open({path!r}, "w").write(record_text)
os._exit(0)
"""
    path = tmp_path / "big.json"
    sending = "\n".join([priorities] * 3 + ["app.send_task('crop', queue='big')"])
    record(celery, path, redis.url(), "big", "small", more=sending + holding.format(path=str(path)))
    [facts] = look(celery, big=path, twin=path, absent=tmp_path / "absent.json")
    assert facts.reachable
    assert facts.programs == ("big", "twin")
    assert facts.queues == (
        QueueFacts("big", 3, None, 1, ("big", "twin")),
        QueueFacts("small", 0, None, 0, ("big", "twin")),
    )


def test_broker_that_refuses_is_an_answer_without_its_password(celery: CeleryEnvironment, tmp_path: Path) -> None:
    path = record(celery, tmp_path / "big.json", f"redis://:{SECRET}@127.0.0.1:1/0", "big")
    assert SECRET in path.read_text()
    [facts] = look(celery, big=path)
    assert (facts.reachable, facts.trouble) == (False, "refused")
    assert facts.url == "redis://:***@127.0.0.1:1/0"


def test_no_password_is_shown_in_a_url_without_one(celery: CeleryEnvironment, tmp_path: Path) -> None:
    urls = {"big": "redis://127.0.0.1:1/0", "small": "redis://shop@127.0.0.1:1/0"}
    files = {name: record(celery, tmp_path / f"{name}.json", url, name) for name, url in urls.items()}
    assert sorted(facts.url for facts in look(celery, **files)) == sorted(urls.values())


def test_host_in_a_url_that_its_transport_reads_itself_is_without_the_password(
    celery: CeleryEnvironment, tmp_path: Path
) -> None:
    path = record(celery, tmp_path / "big.json", f"redis+socket://:{SECRET}@{tmp_path}/redis.sock", "big")
    [facts] = look(celery, big=path)
    assert (facts.reachable, facts.host) == (False, f"{tmp_path}/redis.sock")


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("postgresql://me:a/b#c@d@db.example:5432/shop?sslmode=require", "db.example"),
        ("socket://:a/b@/run/redis.sock?virtual_host=2", "/run/redis.sock"),
        ("mongodb://me:a@[::1]:27017/shop", "::1"),
        ("x://me:a@[b", ""),
        ("localhost", "localhost"),
    ],
)
def test_host_of_a_connection(name: str, host: str) -> None:
    connection = SimpleNamespace(hostname=name, alt=[], password=None)
    assert broker_address_script._host(name) == host
    assert all(each not in host for each in broker_address_script.passwords(connection))


def test_workers_with_different_brokers_are_answered_apart(
    celery: CeleryEnvironment, redis: Redis, tmp_path: Path
) -> None:
    one = record(celery, tmp_path / "one.json", redis.url(1), "crop")
    two = record(celery, tmp_path / "two.json", redis.url(2), "crop")
    answers = [(facts.programs, [queue.name for queue in facts.queues]) for facts in look(celery, one=one, two=two)]
    assert sorted(answers) == [(("one",), ["crop"]), (("two",), ["crop"])]


@pytest.mark.parametrize(
    "content",
    ['{"format": 1, ', '{"format": 1}', '{"format": 1, "connection": {}, "queues": [{}], "routed": []}'],
    ids=["cut", "empty", "a queue without a name"],
)
def test_damaged_record_is_skipped(celery: CeleryEnvironment, redis: Redis, tmp_path: Path, content: str) -> None:
    damaged = tmp_path / "damaged.json"
    damaged.write_text(content)
    whole = record(celery, tmp_path / "whole.json", redis.url(), "crop")
    assert [facts.programs for facts in look(celery, damaged=damaged, whole=whole)] == [("whole",)]


def test_queues_that_the_app_sends_to_are_counted_although_no_worker_consumes_them(
    celery: CeleryEnvironment, redis: Redis, tmp_path: Path
) -> None:
    path = tmp_path / "big.json"
    more = f"open({str(path)!r}, 'w').write(record.record_of(app, ['nobody']))\nimport os; os._exit(0)"
    record(celery, path, redis.url(), "big", more=f"app.send_task('crop', queue='nobody')\n{more}")
    [facts] = look(celery, big=path)
    assert facts.queues[1] == QueueFacts("nobody", 1, None, 0, ())


def test_connection_whose_encryption_cannot_be_recorded_is_not_recorded_at_all(
    celery: CeleryEnvironment, tmp_path: Path
) -> None:
    more = "app.conf.broker_use_ssl = {'ssl_cert_reqs': object()}\nassert record.record_of(app) is None\nexit()"
    record(celery, tmp_path / "big.json", "rediss://localhost/0", "big", more=more)
    assert not (tmp_path / "big.json").exists()


def test_endless_answer_is_cut(celery: CeleryEnvironment) -> None:
    queue = {"name": "q" * 10_000, "messages": 1, "consumers": None, "unacknowledged": None, "programs": ["p"] * 9999}
    broker_answer = {"stage": "asking", "reachable": True, "queues": [queue] * 9999, "seconds": 0.1, "url": "u" * 9999}
    place = Place(celery.python, {}, Path("/"), None, None)
    facts = broker.facts_of_look({"brokers": [broker_answer] * 99}, place)
    assert len(facts) == broker.MOST_BROKERS
    assert len(facts[0].queues) == broker.MOST_QUEUES
    assert len(facts[0].queues[0].programs) == broker.MOST_NAMES
    assert len(facts[0].queues[0].name) == len(facts[0].url) == broker.LONGEST_TEXT


def test_failover_and_url_without_a_host_are_recorded(celery: CeleryEnvironment, redis: Redis, tmp_path: Path) -> None:
    both = record(celery, tmp_path / "both.json", f"redis://127.0.0.1:1/0;{redis.url()}", "crop")
    none = record(celery, tmp_path / "none.json", "memory://", "crop")
    answers = {facts.programs: facts for facts in look(celery, both=both, none=none)}
    assert answers["both",].reachable
    assert answers["both",].url == redis.url()
    assert answers["none",].transport == "memory"
