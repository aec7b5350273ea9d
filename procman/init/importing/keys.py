"""What readers of different formats need to turn an option into a key of procman.toml."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from procman.config.keys import NAMED_TABLES


def key_problem(name: str, value: object) -> str | None:
    """Return why the key `name` of a worker or beat cannot have `value`; None if it can."""
    return next(key.type.problem(value, Path("/")) for key in NAMED_TABLES["worker"] if key.name == name)


def number_of(text: str) -> int | None:
    """Return the whole number that `text` is; None if it is none, or has more digits than any option needs."""
    return int(text) if re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text) else None


def signal_name(value: str) -> str | None:
    """Return the name of a signal without SIG, given by name or number; None if there is none."""
    text = value.strip().upper()
    with_prefix = text if text.startswith("SIG") else f"SIG{text}"
    try:
        number = number_of(text)
        found = signal.Signals[with_prefix] if number is None else signal.Signals(number)
    except (KeyError, ValueError):
        return None
    return found.name.removeprefix("SIG")
