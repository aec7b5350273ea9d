"""Find when a schedule of Celery was due between two moments, by the schedule's own functions: Celery 4.4 to 5.7.

Times are seconds since the epoch. Each function may raise whatever a schedule raises.
"""

import math
from datetime import datetime, timedelta, timezone
from time import time
from typing import Any, NamedTuple, Optional

MOST_COUNTED = 20
"""How many due times are counted; a higher count means that there are more."""

GRAIN = 60.0
"""The seconds between two due times of a crontab, at least."""

STEP = 0.5
"""A due time less than this after another one is the same, calculated a moment later."""

MOST_LOOKS = 64
"""How often the last due time is approached: halving ten thousand years takes less."""


class Zoned(NamedTuple):
    """A schedule, and the time zone of the last run, which Celery 4.4 and 5.1 take a crontab's hours in."""

    schedule: Any
    zone: Any


class DueTimes(NamedTuple):
    """The times at which a schedule was due."""

    total: int
    """At most MOST_COUNTED + 1, which means that there are more than MOST_COUNTED."""
    first: float
    last: float


def between(zoned: Zoned, last_run: float, after: float, until: float) -> Optional[DueTimes]:
    """Return when an entry that last ran at `last_run` was due later than `after` and by `until`; None if never."""
    every = interval_of(zoned.schedule)
    if every is not None:
        return _of_interval(following(zoned, last_run), every, after, until)
    first = following(zoned, max(last_run, after))
    if not after < first <= until:
        return None
    count, last = 1, first
    while count <= MOST_COUNTED:
        due = _next(zoned, last)
        if not last + STEP < due <= until:
            return DueTimes(count, first, last)
        count, last = count + 1, due
    return DueTimes(count, first, _last(zoned, last, until))


def interval_of(schedule: Any) -> Optional[float]:
    """Return the seconds between two runs; None for a crontab and everything else that names points in time."""
    every = getattr(schedule, "run_every", None)
    return every.total_seconds() if isinstance(every, timedelta) else None


def following(zoned: Zoned, moment: float) -> float:
    """Return when a schedule is due next after it ran at `moment`."""
    # Not is_due(): some schedules write to a database there.
    now = time()
    left = zoned.schedule.remaining_estimate(datetime.fromtimestamp(moment, zoned.zone))
    return now + float(left.total_seconds())


def aware(moment: datetime) -> datetime:
    """Return a time of an entry with its zone: without one it is in UTC, as everywhere in Celery's schedules."""
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _of_interval(first: float, every: float, after: float, until: float) -> Optional[DueTimes]:
    if every <= 0:
        return None
    if first <= after:
        first += every * (math.floor((after - first) / every) + 1)
    if first > until:
        return None
    runs = math.floor((until - first) / every)
    return DueTimes(min(runs, MOST_COUNTED) + 1, first, first + runs * every)


def _next(zoned: Zoned, due: float) -> float:
    # A second later, because a due time that is some microseconds too early would be found again.
    return following(zoned, due + 1)


def _last(zoned: Zoned, low: float, until: float) -> float:
    """Return the last due time by `until`, of which `low` is an earlier one."""
    high = until
    for _ in range(MOST_LOOKS):
        if high - low < GRAIN:
            break
        middle = (low + high) / 2
        due = following(zoned, middle)
        if low + STEP < due <= until:
            low = due
        else:
            high = middle
    for _ in range(2):
        due = _next(zoned, low)
        if not low + STEP < due <= until:
            break
        low = due
    return low
