"""PM404: what beat missed, for as long as it is news."""

from __future__ import annotations

import time
from typing import Any

import pytest

from procman.agent.missed_report import MOST_SHOWN
from procman.model import Level, Result
from procman.monitoring.checks.missed_entries import check
from tests.monitoring.checks.records import heartbeat, program, running, snapshot

HOUR = 3600.0


def judged(hours: float, lost: int, total: int = 2, **changed: Any) -> list[Result]:
    at = time.time() - hours * HOUR
    entry = {"name": "nightly", "times": 1, "last": at - 60, "outcome": "forgotten" if lost else "sent"}
    fields = {
        "missed_at": at,
        "down_since": at - 2 * HOUR,
        "missed_total": total,
        "missed_lost": lost,
        "missed_entries": [entry] * min(total, 10),
    }
    says = heartbeat(program="demo-beat", kind="beat", **{**fields, **changed})
    return list(check(running(snapshot(says, program=program(name="demo-beat", key="beat")))))


@pytest.mark.parametrize(
    ("hours", "lost", "level"),
    [(0.5, 0, Level.OK), (0.5, 1, Level.WARNING), (23, 1, Level.WARNING), (1.1, 0, None), (24.1, 1, None)],
)
def test_lost_run_is_a_warning_for_a_day_and_any_other_is_shown_for_an_hour(
    hours: float, lost: int, level: Level | None
) -> None:
    found = judged(hours, lost)
    assert [each.level for each in found] == ([] if level is None else [level])
    assert all(each.detail.startswith("it was down for 2h until ") for each in found)
    assert all(("celery call" in each.hint) == bool(lost) for each in found)


def test_beat_that_missed_nothing_has_no_result() -> None:
    assert judged(0.5, 0, missed_at=None) == []


def test_many_entries_are_cut_short() -> None:
    [found] = judged(0.5, 1, 30)
    assert found.detail.count("nightly") == MOST_SHOWN
    assert found.detail.endswith("; 25 more entries were due")
    assert len(found.detail) < 1000
    assert found.values == {"missed_entries": 30.0, "lost_entries": 1.0}


def test_unknown_time_of_the_stop_is_not_guessed() -> None:
    [found] = judged(0.5, 0, down_since=None)
    assert found.detail.startswith("it was down before ")
