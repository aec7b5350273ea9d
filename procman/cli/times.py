"""Read the moments that people write, such as `2h`, `yesterday` or `2026-11-29 01:30`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from procman.config.numbers_with_units import as_number

EXAMPLES = '30m, "2 h ago", 1d, 01:30, yesterday, 2026-11-29, "2026-11-29 01:30" or 2026-11-29T01:30:00Z'

_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.IGNORECASE)
_TIME_OF_DAY = re.compile(r"\d?\d:\d\d(?::\d\d)?")


def past_moment(text: str, now: datetime) -> float | None:
    """Return the moment that `text` means, in seconds since the epoch; None if it is no moment up to `now`.

    A time without a zone is local. A time of day is the last one: at 00:10, `23:50` is yesterday's.
    """
    words = text.strip().lower()
    try:
        found = _ago(words, now)
        if found is None:
            found = _named(words, now) or _dated(words, now)
        return found if found is None or found <= now.timestamp() else None
    except (ValueError, OverflowError, OSError):  # a date of no calendar, or before the first that the platform knows
        return None


def _ago(words: str, now: datetime) -> float | None:
    length = words.removesuffix("ago").removeprefix("-").strip()
    # A number alone could be seconds, minutes or a time since the epoch.
    seconds = as_number(length, "seconds") if length[-1:].isalpha() else None
    return None if seconds is None else max(0.0, now.timestamp() - seconds)


def _named(words: str, now: datetime) -> float | None:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    days = {"today": 0, "yesterday": 1}.get(words)
    return None if days is None else (midnight - timedelta(days=days)).timestamp()


def _dated(words: str, now: datetime) -> float | None:
    if _TIME_OF_DAY.fullmatch(words):
        today = datetime.fromisoformat(f"{now:%Y-%m-%d} {words.zfill(5) if words.count(':') == 1 else words.zfill(8)}")
        last = today if today.timestamp() <= now.timestamp() else today - timedelta(days=1)
        return last.timestamp()
    if not _DATE.fullmatch(words):
        return None
    # Python 3.10 reads neither Z nor a zone without a colon.
    zoned = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", words.upper().replace("Z", "+00:00"))
    return datetime.fromisoformat(zoned if ":" in words else words).timestamp()
