"""Read the times at the beginning of log lines, which name no time zone.

Celery writes `[2026-11-29 13:15:44,275: INFO/MainProcess]` in the zone of its process: Django's TIME_ZONE, not that of
the host. Flower, by Tornado, writes `[I 261129 13:15:44 mixins:228]`. The modification time of the file shows which
zone that is.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

SLACK_SECONDS = 1.0
"""The most that may lie between the time in a line and the modification time of the file that ends with it."""

ZONE_STEP_SECONDS = 900
"""All zones differ from UTC by a multiple of a quarter of an hour, between -12 and +14 hours."""

_TIME = re.compile(
    r"\[?(?:[A-Z] (?P<day>\d{6})|(?P<date>\d{4}-\d\d-\d\d))[ T](?P<time>\d\d:\d\d:\d\d)"
    r"(?:[.,](?P<fraction>\d{1,6})\d*)? ?(?P<zone>Z|[+-]\d\d:?\d\d)?(?P<rest>.*)",
    re.DOTALL,
)


class Clock(NamedTuple):
    """The zone of the times in a log file."""

    offset_seconds: float | None = None
    """How far it is ahead of UTC; None: the local time of this host."""
    is_known: bool = True
    """Whether the file shows it; otherwise local time is a guess."""


GUESS = Clock(is_known=False)


def moment_of(line: str, clock: Clock, program: str) -> float | None:
    """Return the time at the beginning of `line` in seconds since the epoch; None if it has none.

    The agent's own lines, which name `program` behind the time, count as lines without a time: those before the app is
    loaded have the zone of the host.
    """
    found = _TIME.match(line)
    if not found or found["rest"].lstrip().startswith(f"{program}: "):
        return None
    day = found["day"]
    date = f"20{day[:2]}-{day[2:4]}-{day[4:]}" if day else found["date"]
    text = f"{date} {found['time']}.{(found['fraction'] or '0').ljust(6, '0')}"
    try:
        naive = datetime.fromisoformat(text)
        return _at(naive, found["zone"], clock)
    except (ValueError, OverflowError, OSError):  # no date of a calendar, or one before the first of the platform
        return None


def _at(naive: datetime, zone: str | None, clock: Clock) -> float:
    if zone:
        digits = zone.replace(":", "")
        offset = 0 if zone == "Z" else int(digits[:3]) * 3600 + int(digits[0] + digits[3:]) * 60
    elif clock.offset_seconds is None:
        return naive.timestamp()
    else:
        offset = int(clock.offset_seconds)
    return naive.replace(tzinfo=timezone(timedelta(seconds=offset))).timestamp()


def clock_of(last_line: str, changed: float, program: str) -> Clock:
    """Return the zone of a log file whose `last_line` was written at `changed`, its modification time."""
    local = moment_of(last_line, Clock(), program)
    if local is None:
        return GUESS
    if abs(local - changed) <= SLACK_SECONDS:
        return Clock()
    as_utc = moment_of(last_line, Clock(0.0), program) or 0.0
    offset = round((as_utc - changed) / ZONE_STEP_SECONDS) * ZONE_STEP_SECONDS
    if abs(as_utc - offset - changed) <= SLACK_SECONDS and -12 * 3600 <= offset <= 14 * 3600:
        return Clock(float(offset))
    return GUESS


def agreed(clocks: list[Clock]) -> Clock:
    """Return the zone of a log that does not show its own: that of the other programs of the project, if they agree."""
    known = {clock for clock in clocks if clock.is_known}
    return known.pop() if len(known) == 1 else GUESS
