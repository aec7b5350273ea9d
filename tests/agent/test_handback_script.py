"""The script that restores a worker's messages on Redis: what it records, whether or not Redis answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from procman.agent import handback_broker, own_events
from procman.agent.broker_record import BROKER_FILE
from tests.agent.launching import Installation, install_launcher
from tests.celery_environments import CELERY_REDIS, environment_of
from tests.redis_server import Redis, free_port, running_redis

EVENT = {"what": "handing-back", "reason": "ended 1 task", "tasks": ["mysite.work"], "task_ids": ["an-id"]}
TAGS = ["tag-a", "tag-b"]
LATE = [{"tag": tag, "id": f"id-{tag[-1]}", "name": "mysite.work"} for tag in TAGS]


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    environment = environment_of(CELERY_REDIS)
    assert environment is not None
    return install_launcher(tmp_path, environment.python)


def carry_out(installation: Installation, **more: Any) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit status of the script for an order that it cannot carry out, and the events that it recorded."""
    with begun(installation, **more) as process:
        output, _ = process.communicate(timeout=60)
    assert b"Redis returns the rest after its visibility timeout" in output
    return process.returncode, recorded(installation)


@contextmanager
def begun(installation: Installation, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run the script."""
    order = {
        "program": "celery",
        "run_directory": str(installation.run_directory),
        "until": time.monotonic() + 1,
        "tags": ["a-tag"],
        "acknowledged": [],
        "events": [EVENT],
        **more,
    }
    script = installation.launcher.with_name(handback_broker.SCRIPT)
    reading, writing = os.pipe()
    os.write(writing, json.dumps(order).encode())
    os.close(writing)
    words = [str(installation.python), str(script), str(reading)]
    with subprocess.Popen(words, pass_fds=[reading], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        os.close(reading)
        try:
            yield process
        finally:
            process.kill()


def recorded(installation: Installation) -> list[dict[str, Any]]:
    path = installation.run_directory / own_events.FILE
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def account(events: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return what happened to which tasks, after the first event."""
    return [(event["what"], event["task_ids"]) for event in events[1:]]


def name_broker(installation: Installation, port: int) -> None:
    connection = {"transport": "redis", "hostname": "127.0.0.1", "port": port}
    record = {"format": 1, "connection": connection, "queues": [], "routed": []}
    (installation.run_directory / BROKER_FILE).write_text(json.dumps(record))


MESSAGE = json.dumps(
    [
        {"headers": {}, "properties": {"delivery_info": {"exchange": "", "routing_key": "jobs"}, "priority": 0}},
        "",
        "jobs",
    ],
    separators=(",", ":"),
)


def hold(redis: Redis, tag: str, text: str) -> None:
    """Let Redis keep a message for a worker, as kombu does."""
    assert redis.ask("HSET", "unacked", tag, f"'{text}'") == ":1"


def wait_for_failure(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert any(b"trying again" in line for line in process.stdout)


@pytest.mark.celery
@pytest.mark.parametrize("answers", [True, False], ids=["without a record", "silent"])
def test_tasks_that_have_ended_are_recorded_although_redis_does_not_answer(
    installation: Installation, answers: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        if not answers:
            name_broker(installation, silent.getsockname()[1])
        status, [event] = carry_out(installation)
    assert status == 1
    assert event.items() >= EVENT.items()


@pytest.mark.celery
def test_tasks_are_not_handed_back_if_redis_refuses_until_the_time_is_up(installation: Installation) -> None:
    name_broker(installation, free_port())
    with begun(installation, tags=TAGS, late=LATE, until=time.monotonic() + 60) as process:
        wait_for_failure(process)
        process.send_signal(signal.SIGALRM)
        assert process.wait(60) == 1
    assert account(recorded(installation)) == [("not-returned", ["id-a", "id-b"])]
    reason = recorded(installation)[1]["reason"]
    assert reason == "could not return 2 tasks (ConnectionError); Redis does so after its visibility timeout"


@pytest.mark.celery
def test_only_tasks_whose_messages_were_restored_are_handed_back(installation: Installation, tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis:
        name_broker(installation, redis.port)
        # The last one is restored first; the other one cannot be.
        hold(redis, "tag-a", "no message")
        hold(redis, "tag-b", MESSAGE)
        with begun(installation, tags=TAGS, late=LATE, until=time.monotonic() + 60) as process:
            wait_for_failure(process)
            process.send_signal(signal.SIGALRM)
            assert process.wait(60) == 1
        assert redis.ask("LLEN", "jobs") == ":1"
        assert redis.ask("HLEN", "unacked") == ":1"
    assert account(recorded(installation)) == [("handed-back", ["id-b"]), ("not-returned", ["id-a"])]


@pytest.mark.celery
@pytest.mark.parametrize("is_killed", [False, True], ids=["redis accepts then", "killed"])
def test_tasks_are_handed_back_when_redis_accepts_after_a_failure_and_not_before(
    installation: Installation, tmp_path: Path, is_killed: bool
) -> None:
    with running_redis(tmp_path) as redis, redis.connection() as ask:
        name_broker(installation, redis.port)
        hold(redis, "tag-a", MESSAGE)
        assert ask("CONFIG SET requirepass secret") == "+OK"
        with begun(installation, tags=TAGS[:1], late=LATE[:1], until=time.monotonic() + 60) as process:
            wait_for_failure(process)
            assert account(recorded(installation)) == []
            if is_killed:
                process.kill()
            assert ask('CONFIG SET requirepass ""') == "+OK"
            assert (process.wait(60) == 0) != is_killed
        assert ask("LLEN jobs") == f":{0 if is_killed else 1}"
    assert account(recorded(installation)) == ([] if is_killed else [("handed-back", ["id-a"])])


@pytest.mark.celery
def test_task_whose_message_the_worker_held_no_longer_is_not_handed_back(
    installation: Installation, tmp_path: Path
) -> None:
    with running_redis(tmp_path) as redis:
        name_broker(installation, redis.port)
        hold(redis, "tag-a", MESSAGE)
        with begun(installation, tags=TAGS[:1], late=LATE, until=time.monotonic() + 60) as process:
            assert process.wait(60) == 0
    assert account(recorded(installation)) == [("handed-back", ["id-a"]), ("not-returned", ["id-b"])]
