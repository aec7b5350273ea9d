"""Parse the settings of a unit or drop-in, with their line numbers; pure (systemd.syntax(7))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class UnitSetting:
    """One setting of a unit, with its continuation lines joined; lines are counted from 1."""

    section: str
    name: str
    value: str
    line: int


def settings_of(text: str) -> list[UnitSetting]:
    """Return the settings in `text` in order; lines that systemd would not understand are skipped."""
    return list(_settings(text))


def _settings(text: str) -> Iterator[UnitSetting]:
    section = ""
    for number, line in _joined(text):
        header = re.fullmatch(r"\[([^\]]*)\]", line)
        if header:
            section = header[1]
            continue
        name, equals, value = line.partition("=")
        if equals:
            yield UnitSetting(section, name.strip(), value.strip(), number)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) with continuation lines joined and comments among them omitted."""
    begun, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or (not stripped and not parts):
            continue
        begun = begun or number
        parts.append(stripped.removesuffix("\\"))
        if not stripped.endswith("\\"):
            yield begun, " ".join(parts).strip()
            begun, parts = 0, []
    if parts:
        yield begun, " ".join(parts).strip()
