"""Overlap restarts with whole commands under a real supervisord, with Redis.

tests/host/test_overlap_deploys.py: with RabbitMQ, and under systemd. test_overlap_in_trouble.py: if something fails.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.celery_environments import CELERY_REDIS, environment_of
from tests.contracts.trials.ground import Ground, Message, ground_of_redis
from tests.contracts.trials.overlap_verdict import verdict
from tests.product import eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery, pytest.mark.xdist_group("overlap")]

PROGRAM = "trials-redis"
DEPLOYS = 3
LONG_SECONDS = 30
SHORT_TASKS = 100
STOP_SECONDS = 8
"""Less than the long task takes."""


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    environment = environment_of(CELERY_REDIS)
    assert environment
    with ground_of_redis(environment) as made:
        yield made


def configure(place: Ground) -> None:
    worker = f"""
[worker.redis]
overlap = true
overlap_max = 3  # the second process may still be ending when the third deploy begins
concurrency = 2
stop_timeout_seconds = {STOP_SECONDS}
queues = ["redis"]
{place.environment("redis", "redis")}
"""
    place.configure([worker])


def draining(place: Ground) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.product.status()[PROGRAM]["draining"]
    return found


def only_the_long_task_drains(place: Ground) -> dict[str, Any] | None:
    status: dict[str, Any] = place.product.status()
    busy = [each["tasks"] for each in status[PROGRAM]["draining"] if each["busy"]]
    return status if [[task["id"] for task in tasks] for tasks in busy] == [["long"]] else None


def hold(place: Ground, task_id: str) -> None:
    """Let the worker run a task that lasts until the test ends it."""
    (place.store.data / "told").unlink(missing_ok=True)
    place.send([Message(task_id, "trials.hold_until_told", "redis", "redis")])
    eventually(lambda: bool(place.store.runs_of(task_id)), f"{task_id} runs")


@pytest.fixture(scope="module")
def deployed(place: Ground) -> dict[str, Any]:
    """Carry out three overlap deploys, while a task of half a minute runs and short ones arrive."""
    configure(place)
    place.product.procman("install", "--wait", "90")
    hold(place, "long")
    began, printed = time.monotonic(), []
    short = [Message(f"short-{number}", "trials.hold", "redis", "redis", (0.01,)) for number in range(SHORT_TASKS)]
    with place.trickle(short, LONG_SECONDS / SHORT_TASKS) as trickle:
        for _ in range(DEPLOYS):
            printed.append(place.product.procman("restart", "--overlap", "--no-check").stdout)
            assert not place.store.has_ended("long")
        # Right after a restart, the process before it may still run one of the short tasks.
        status = eventually(lambda: only_the_long_task_drains(place), "the short tasks of earlier processes have ended")
        text = place.product.procman("status").stdout
        assert trickle.wait(120) == 0
    ids = [each.id for each in short]
    eventually(lambda: all(map(place.store.has_ended, ids)), "the short tasks have run")
    time.sleep(max(0.0, began + LONG_SECONDS - time.monotonic()))
    place.store.tell()
    eventually(lambda: not draining(place), "the long task has ended")
    return {"printed": printed, "status": status, "text": text, "verdict": verdict(place.store, "redis", ids)}


def test_restart_returns_while_the_long_task_runs(deployed: dict[str, Any]) -> None:
    assert deployed["printed"] == [f"{PROGRAM}: restarted by an overlap\n"] * DEPLOYS


@pytest.mark.usefixtures("deployed")
def test_long_task_survives_three_deploys_and_runs_once(place: Ground) -> None:
    assert [run.has_ended for run in place.store.runs_of("long")] == [True]


def test_each_short_task_runs_exactly_once(deployed: dict[str, Any]) -> None:
    assert deployed["verdict"].not_once == []


def test_no_short_task_waits_for_a_consumer(deployed: dict[str, Any]) -> None:
    assert deployed["verdict"].overlaps == DEPLOYS
    assert (deployed["verdict"].gaps, deployed["verdict"].waited_in_vain) == ([], [])


def test_status_shows_what_drains_and_its_tasks(deployed: dict[str, Any]) -> None:
    program = deployed["status"][PROGRAM]
    [busy] = [each for each in program["draining"] if each["busy"]]
    assert program["health"]["level"] == "OK"
    assert f"process {busy['pid']} has been draining for" in deployed["text"]
    assert "long (" in deployed["text"]


@pytest.mark.usefixtures("deployed")
def test_overlaps_are_events_of_the_program(place: Ground) -> None:
    assert Counter(event["program"] for event in place.events("overlapped")) == {PROGRAM: DEPLOYS}
