"""Convert numbers such as `1h 30min` or `2GiB` to the unit of a key, for the remedy in a message."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SECONDS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600}
FACTORS: Mapping[str, Mapping[str, float]] = {
    "seconds": _SECONDS | {"ms": 0.001, "d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800},
    "mib": {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024**2},
    "kib": {"k": 1, "m": 1024, "g": 1024**2, "t": 1024**3},
}
"""The units that people write after a number, with their factors, by the unit of the key."""

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)\s*"
_WITH_UNITS = re.compile(rf"\s*(?:{_NUMBER}[a-z]+\s*)+")


def as_number(text: str, unit: str) -> float | None:
    """Return `text`, such as `600`, `1h 30min` or `2GiB`, as a number of `unit`.

    None if that is ambiguous: each of several numbers needs its own unit, so neither `1h30` nor `3 600` is accepted.
    """
    text = text.strip().lower()
    if re.fullmatch(_NUMBER, text):
        return _whole(float(text))
    if not _WITH_UNITS.fullmatch(text):
        return None
    factors = FACTORS.get(unit, {})
    ending = r"(?<=..)s$" if unit == "seconds" else r"(?<=[kmgt])i?b$"
    parts = [(float(number), re.sub(ending, "", word)) for number, word in re.findall(_NUMBER + "([a-z]+)", text)]
    if any(word not in factors for _, word in parts):
        return None
    return _whole(sum(number * factors[word] for number, word in parts))


def _whole(number: float) -> float:
    return int(number) if number.is_integer() else number
