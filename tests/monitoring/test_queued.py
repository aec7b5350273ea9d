"""The messages that wait for a program are those of its queues, as a heartbeat of any program last reported them."""

from __future__ import annotations

from typing import Any

from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.queued import queued
from tests.monitoring.checks.records import heartbeat, program, snapshot

FRESH_SECONDS = 30.0


def worker(name: str, asked: float | None, **messages: int | None) -> ProgramSnapshot:
    queues: list[dict[str, Any]] = [
        {"name": queue, "messages": number, "consumers": 1, "since": None} for queue, number in messages.items()
    ]
    return snapshot(heartbeat(queues=queues, queues_asked=asked), program=program(name=name))


def count(*workers: ProgramSnapshot) -> dict[str, int]:
    return queued(workers, 1000.0, FRESH_SECONDS)


def test_messages_of_all_queues_are_added() -> None:
    assert count(worker("big", 990.0, big=3, huge=4), worker("small", 990.0, small=0)) == {"big": 7, "small": 0}


def test_last_report_of_any_program_counts() -> None:
    assert count(worker("one", 995.0, crop=5), worker("two", 990.0, crop=9)) == {"one": 5, "two": 5}


def test_old_report_does_not_count() -> None:
    assert count(worker("one", 969.0, crop=5), worker("two", None, crop=5)) == {}


def test_queue_with_an_unknown_number_makes_the_sum_unknown() -> None:
    assert count(worker("one", 995.0, crop=5, celery=None)) == {}


def test_program_without_queues_has_no_number() -> None:
    assert count(worker("one", 995.0)) == {}
