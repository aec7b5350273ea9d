"""Format the generations of a project as a table and JSON; docs/install.md describes the fields."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

from procman.deploy.history import Entry
from procman.output.terminal import coloured, table, width_of

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""

DROPPED = ("PROCMAN", "BACKEND", "BY", "MESSAGE")
"""Columns that a narrow terminal has no room for, the first to be left out first."""

SHORTEST = {"CHANGED": 16, "MESSAGE": 12}
"""Columns that are shortened for it first."""

LONGEST_MESSAGE = 50
"""Characters of a message that the table shows."""

MOST_CHANGES = 4
"""Changes that a line of the table shows; the JSON document has them all."""


def as_text(entries: Sequence[Entry], stream: TextIO | None = None) -> Iterator[str]:
    """Yield the lines of the table, oldest first; the current generation has an asterisk."""
    stream = stream or sys.stdout
    header = ["", "GENERATION", "MADE", "BY", "BACKEND", "PROCMAN", "MESSAGE", "CHANGED"]
    rows = [_row(entry) for entry in entries]
    lines = table(header, rows, right=["GENERATION"], width=width_of(stream), cut=SHORTEST, drop=DROPPED)
    yield coloured(lines[0], "bold", stream)
    yield from lines[1:]


def as_json(entries: Sequence[Entry]) -> str:
    """Return the generations as one JSON document."""
    return json.dumps({"format": FORMAT, "generations": [_generation(entry) for entry in entries]}, indent=2)


def _row(entry: Entry) -> list[str]:
    manifest = entry.generation.manifest
    return [
        "*" if entry.is_current else "",
        str(entry.generation.number),
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.at)),
        entry.made.by or "-",
        manifest.backend.value,
        manifest.procman,
        textwrap.shorten(entry.made.message, LONGEST_MESSAGE, placeholder=" ...") or "-",
        _changed(entry),
    ]


def _changed(entry: Entry) -> str:
    back = entry.generation.manifest.brought_back
    brought_back = [f"rolled back to generation {back}"] if back else []
    if entry.changes is None:
        return "; ".join([*brought_back, "oldest generation kept"])
    shown = list(entry.changes[:MOST_CHANGES])
    if len(entry.changes) > MOST_CHANGES:
        shown.append(f"and {len(entry.changes) - MOST_CHANGES} more")
    return "; ".join([*brought_back, ", ".join(shown) or "no program"])


def _generation(entry: Entry) -> dict[str, object]:
    manifest = entry.generation.manifest
    return {
        "number": entry.generation.number,
        "at": entry.at,
        "by": entry.made.by or None,
        "message": entry.made.message or None,
        "current": entry.is_current,
        "backend": manifest.backend.value,
        "procman": manifest.procman,
        "brought_back": manifest.brought_back,
        "left_out": list(manifest.left_out),
        "programs": [program.name for program in manifest.programs],
        "changes": None if entry.changes is None else list(entry.changes),
    }
