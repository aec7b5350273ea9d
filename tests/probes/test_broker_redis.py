"""PM509 and PM782 on a real Redis in each state, and silent after the command in the hint was typed."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from procman.model import Level, Result
from procman.monitoring.checks.broker_states import check_redis
from tests.celery_environments import CeleryEnvironment
from tests.monitoring.checks.records import running
from tests.probes.asking import ask
from tests.redis_server import Redis, running_redis

pytestmark = pytest.mark.celery

TYPED = re.compile(r"redis-cli -h \S+ -p \d+ (.*?)(?:$|, and| makes| \(0| shows)")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with running_redis(tmp_path) as redis:
        yield redis
        # One that cannot save does not exit.
        redis.ask("CONFIG", "SET", "save", '""')


def judged(celery: CeleryEnvironment, directory: Path, redis: Redis, user: str = "", **settings: object) -> Result:
    url = redis.url().replace("://", f"://{user}@") if user else redis.url()
    [result] = check_redis(running(broker=ask(celery, directory, url, **settings)))
    return result


def be_a_replica(redis: Redis, _: Path) -> None:
    redis.ask("REPLICAOF", "127.0.0.1", 1)


def fill_the_memory(redis: Redis, _: Path) -> None:
    redis.ask("CONFIG", "SET", "maxmemory", 1)


def break_the_disk(redis: Redis, directory: Path) -> None:
    (directory / "dump.rdb" / "in-the-way").mkdir(parents=True)
    redis.ask("CONFIG", "SET", "save", '"3600 1"')
    save(redis, "err")


def save(redis: Redis, status: str) -> None:
    redis.ask("BGSAVE")
    deadline = time.monotonic() + 10
    while f"rdb_last_bgsave_status:{status}" not in redis.ask("INFO", "persistence"):
        assert time.monotonic() < deadline, redis.ask("INFO", "persistence")
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (be_a_replica, "it is a read-only replica (READONLY "),
        (fill_the_memory, "its memory is full (OOM "),
        (break_the_disk, "it cannot save its data to disk (MISCONF "),
    ],
)
def test_redis_that_refuses_commands_is_reported_until_its_remedy_is_typed(
    celery: CeleryEnvironment, redis: Redis, tmp_path: Path, fault: Callable[[Redis, Path], None], words: str
) -> None:
    assert judged(celery, tmp_path, redis).level is Level.OK
    fault(redis, tmp_path)
    found = judged(celery, tmp_path, redis)
    assert found.level is Level.CRITICAL
    assert words in found.detail
    typed = [shlex.split(each.replace("BYTES", "0")) for each in TYPED.findall(found.hint.replace(", then: ", "\n"))]
    if fault is break_the_disk:
        (tmp_path / "dump.rdb" / "in-the-way").rmdir()
        (tmp_path / "dump.rdb").rmdir()
        assert typed[-1] == ["BGSAVE"], found.hint
        save(redis, "ok")
    else:
        assert redis.ask(*typed[0]).startswith("+OK"), found.hint
    assert judged(celery, tmp_path, redis).level is Level.OK


@pytest.mark.parametrize(
    ("denied", "settings"),
    [
        ("-lpush", {}),
        ("-zadd", {"broker_transport_options": {"global_keyprefix": "shop-"}}),
        ("resetkeys ~other*", {}),
    ],
)
def test_missing_permission_is_reported_until_its_remedy_is_typed(
    celery: CeleryEnvironment, redis: Redis, tmp_path: Path, denied: str, settings: dict[str, object]
) -> None:
    redis.ask("ACL", "SETUSER", "shop", "on", ">secret", "~*", "&*", "+@all", "-@dangerous")
    assert judged(celery, tmp_path, redis, "shop:secret", **settings).level is Level.OK
    redis.ask("ACL", "SETUSER", "shop", denied)
    found = judged(celery, tmp_path, redis, "shop:secret", **settings)
    assert found.level is Level.CRITICAL
    assert "its user lacks a permission (NOPERM " in found.detail
    [typed] = TYPED.findall(found.hint)
    assert redis.ask(*shlex.split(typed)) == "+OK"
    assert judged(celery, tmp_path, redis, "shop:secret", **settings).level is Level.OK


def test_a_look_changes_no_key(celery: CeleryEnvironment, redis: Redis, tmp_path: Path) -> None:
    judged(celery, tmp_path, redis)
    assert redis.ask("DBSIZE") == ":0"
