"""PM508 and PM512: messages that a worker holds while they, or others, could be worked on."""

from __future__ import annotations

import time
from typing import Any

import pytest

from procman.model import Level
from procman.monitoring.checks.held_messages import check_hoarding, check_scheduled
from procman.monitoring.checks.inputs import ProgramSnapshot
from tests.monitoring.checks.records import heartbeat, program, reported, running, snapshot
from tests.tables import for_each


def queue(name: str = "crop", messages: int = 0) -> dict[str, Any]:
    return {"name": name, "messages": messages, "consumers": 1, "since": None}


def worker(name: str = "demo-crop", **changed: Any) -> ProgramSnapshot:
    content = heartbeat(program=name, **{"queues": [queue()], "brokers": ["1"], **changed})
    return snapshot(content, program=program(name=name, key="worker.crop", stall_seconds=20))


def full(seconds: float, messages: int = 12, **changed: Any) -> ProgramSnapshot:
    since = time.monotonic() - seconds
    return worker(queues=[queue(messages=messages)], scheduled=8, full_since=since, **changed)


def test_worker_filled_by_tasks_with_an_eta_is_a_warning_while_others_wait() -> None:
    [found] = check_scheduled(running(full(60)))
    assert (found.level, found.program) == (Level.WARNING, "demo-crop")
    assert found.detail.startswith("all 8 messages that it may hold have waited 1m for their ETA or a rate limit; 12 ")
    assert "prefetch_multiplier in [worker.crop]" in found.hint


@pytest.mark.parametrize(
    "healthy", [full(60, messages=0), full(60, busy=2), full(3), worker(queues=[queue(messages=9)], scheduled=3)]
)
def test_worker_with_room_or_nothing_to_do_is_ok(healthy: ProgramSnapshot) -> None:
    assert reported(check_scheduled(running(healthy)))[0] is Level.OK


def hoarder(seconds: float = 60, **changed: Any) -> ProgramSnapshot:
    tasks = [{"name": "crop", "since": time.monotonic() - seconds} for _ in range(2)]
    return worker("demo-hoarder", **{"busy": 2, "reserved": 6, "tasks": tasks, **changed})


def test_worker_that_hoards_is_a_warning_while_another_is_idle() -> None:
    first, second = check_hoarding(running(hoarder(), worker()))
    assert (first.level, first.program, second.level) == (Level.WARNING, "demo-hoarder", Level.OK)
    assert first.detail.startswith(
        "it has reserved 6 messages for 2 slots, and none has started for 1m, while demo-crop"
    )
    assert "prefetch_multiplier = 1 in [worker.crop]" in first.hint


@for_each(
    ("one", "other"),
    [
        (hoarder(), worker(busy=2)),
        (hoarder(), worker(reserved=1)),
        (hoarder(), worker(queues=[queue("other")])),
        (hoarder(), worker(brokers=["2"])),
        (hoarder(), worker(phase="disconnected")),
        (hoarder(reserved=2), worker()),
        (hoarder(seconds=3), worker()),
        (hoarder(busy=1), worker()),
    ],
)
def test_worker_that_needs_what_it_reserved_is_ok(one: ProgramSnapshot, other: ProgramSnapshot) -> None:
    assert {each.level for each in check_hoarding(running(one, other))} == {Level.OK}
