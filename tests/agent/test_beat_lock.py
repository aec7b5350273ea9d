"""Beats on standby: real ones with RedBeat and Redis, and the schedulers that are not known to wait for a lock."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.conftest import Start
from tests.agent.heartbeats import Followed, Site, notified
from tests.agent.launching import install_launcher
from tests.celery_environments import CELERY_5_7, CELERY_REDIS, CelerySpec, environment_of
from tests.redis_server import Redis, running_redis

pytestmark = pytest.mark.celery

STALL_SECONDS = 0.5

LOCK_SECONDS = 3

LONG = 2.5
"""Longer than `stale_seconds` and `stall_seconds` and all failures that healing waits for."""

REDBEAT = """
app.conf.update(
    redbeat_redis_url={url!r},
    redbeat_lock_timeout={lock},
    beat_max_loop_interval=1,
)
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with running_redis(tmp_path) as redis:
        yield redis


def site(directory: Path, start: Start, spec: CelerySpec, code: str) -> Site:
    environment = environment_of(spec)
    assert environment is not None
    directory.mkdir()
    made = Site(install_launcher(directory, environment.python), start)
    made.app(code)
    return made


def beat(site: Site, *arguments: str, **more: str) -> Followed:
    return site.beat(*arguments, PROCMAN_STALE_SECONDS="1", PROCMAN_STALL_SECONDS=str(STALL_SECONDS), **more)


def test_second_beat_is_on_standby_until_the_first_ones_lock_expires(
    tmp_path: Path, start: Start, redis: Redis
) -> None:
    code = REDBEAT.format(url=redis.url(), lock=LOCK_SECONDS)
    words = ("-S", "redbeat.RedBeatScheduler")
    first = beat(site(tmp_path / "first", start, CELERY_REDIS, code), *words)
    first.wait_for(lambda found: found["tick"], "the first beat ticks")
    assert (first.heartbeat()["lock"], first.heartbeat()["lock_until"]) == ("redbeat::lock", None)
    with notified(tmp_path) as manager:
        second = beat(site(tmp_path / "second", start, CELERY_REDIS, code), *words, NOTIFY_SOCKET=manager.address)
        manager.receive("READY=1")
        found = second.wait_for(
            lambda found: found["written"] - found["phase_since"] > LONG and found["lock_until"], "it waits for long"
        )
    assert (found["phase"], found["lock"], found["tick"]) == ("standby", "redbeat::lock", None)
    assert 0 < found["lock_until"] - found["written"] <= LOCK_SECONDS
    assert found["verdict"]["level"] == "OK"
    assert "on standby; another beat holds the lock redbeat::lock for " in found["verdict"]["reason"]
    first.launched.end(signal.SIGKILL)
    ticking = second.wait_for(lambda found: found["tick"], "it takes over")
    assert (ticking["phase"], ticking["lock_until"], ticking["verdict"]["code"]) == ("ticking", None, "PM200")
    assert second.events() == []
    assert second.launched.end(signal.SIGTERM) == 0


def test_beat_on_standby_ends_at_the_first_term(tmp_path: Path, start: Start, redis: Redis) -> None:
    redis.ask("SET", "redbeat::lock", "another", "PX", 600_000)
    code = REDBEAT.format(url=redis.url(), lock=LOCK_SECONDS)
    waiting = beat(site(tmp_path / "site", start, CELERY_REDIS, code), "-S", "redbeat.RedBeatScheduler")
    waiting.wait_for(lambda found: found["phase"] == "standby", "it waits")
    assert waiting.launched.end(signal.SIGTERM) == 0


BLOCKS = """
from celery.signals import beat_init

@beat_init.connect
def block(**arguments):
    while not os.path.exists({may_begin!r}):
        time.sleep(0.05)
"""


def test_beat_that_waits_for_something_else_before_its_first_tick_is_a_warning_and_not_healed(
    tmp_path: Path, start: Start
) -> None:
    may_begin = tmp_path / "may-begin"
    blocked = beat(site(tmp_path / "site", start, CELERY_5_7, BLOCKS.format(may_begin=str(may_begin))))
    found = blocked.wait_for(
        lambda found: found["phase"] != "importing" and found["written"] - found["phase_since"] > LONG,
        "it is blocked for long",
    )
    assert (found["phase"], found["lock"]) == ("starting", None)
    assert (found["verdict"]["level"], found["verdict"]["code"]) == ("WARNING", "PM401")
    assert found["verdict"]["reason"].startswith("it has not ticked yet")
    may_begin.touch()
    blocked.wait_until_healthy()
    assert blocked.events() == []
