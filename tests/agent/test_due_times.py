"""When schedules were due: counted up to a limit, and the last time found without counting."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from procman.agent.due_times import MOST_COUNTED, DueTimes, Zoned, between

NOW = time.time() // 86400 * 86400 - 3600.0
"""23:00 UTC of a day."""


class Crontab:
    """A schedule that is due at the minutes for which `is_due` is true, and counts how often it is asked."""

    def __init__(self, is_due: Callable[[float], bool]) -> None:
        self.asked = 0
        self._is_due = is_due

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        self.asked += 1
        due = last_run_at.timestamp() // 60 * 60 + 60
        while not self._is_due(due):
            due += 60
        return timedelta(seconds=due - time.time())


def _zoned(schedule: Any) -> Zoned:
    return Zoned(schedule, timezone.utc)


def _rounded(found: DueTimes | None) -> tuple[int, float, float]:
    assert found is not None
    return found.total, round(found.first), round(found.last)


@pytest.mark.parametrize("hours", [1, 24, 24 * 400])
def test_last_of_many_minutes_is_found_in_few_steps(hours: float) -> None:
    minutely = Crontab(lambda _: True)
    found = between(_zoned(minutely), NOW - hours * 3600, 0, NOW)
    assert _rounded(found) == (MOST_COUNTED + 1, NOW - hours * 3600 + 60, NOW)
    assert minutely.asked < 2 * MOST_COUNTED + 64


def test_last_of_uneven_times_is_found() -> None:
    # Each minute of the days, except for the last hours.
    daytime = Crontab(lambda due: due % 86400 < 20 * 3600)
    found = between(_zoned(daytime), NOW - 90000, 0, NOW)
    assert _rounded(found)[2] == NOW - 3 * 3600 - 60


def test_times_before_beat_stopped_do_not_count() -> None:
    hourly = Crontab(lambda due: due % 3600 == 0)
    assert _rounded(between(_zoned(hourly), NOW - 7200, NOW - 3600, NOW)) == (1, NOW, NOW)
    assert between(_zoned(hourly), NOW - 7200, NOW, NOW + 60) is None


def _interval(seconds: float) -> Zoned:
    every = timedelta(seconds=seconds)

    def remaining(last_run_at: datetime) -> timedelta:
        return timedelta(seconds=last_run_at.timestamp() + seconds - time.time())

    return _zoned(SimpleNamespace(run_every=every, remaining_estimate=remaining))


def test_interval_is_counted_from_its_last_run() -> None:
    assert _rounded(between(_interval(3600), NOW - 9000, 0, NOW)) == (2, NOW - 5400, NOW - 1800)
    assert _rounded(between(_interval(3600), NOW - 9000, NOW - 4000, NOW)) == (1, NOW - 1800, NOW - 1800)
    assert between(_interval(3600), NOW - 3000, 0, NOW) is None
    assert between(_interval(0), NOW - 3000, 0, NOW) is None
    assert _rounded(between(_interval(1), NOW - 30000, 0, NOW))[0] == MOST_COUNTED + 1


def test_schedule_that_is_due_once_ends() -> None:
    """As the clocked schedule of django-celery-beat, which takes no last run into account."""
    once = SimpleNamespace(remaining_estimate=lambda _: timedelta(seconds=NOW - 60 - time.time()))
    assert _rounded(between(_zoned(once), NOW - 7200, 0, NOW)) == (1, NOW - 60, NOW - 60)
    assert between(_zoned(once), NOW - 7200, NOW, NOW + 60) is None
