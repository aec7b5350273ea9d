"""Format the queues of a project as a table and JSON; docs/queues.md describes the fields."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TextIO

from procman.agent.verdict import format_duration
from procman.model import Level, ProgramState, State
from procman.monitoring.queues import ProjectQueues, QueueRow, Source
from procman.output.status import COLOURS
from procman.output.terminal import coloured, hint_lines, see_explain, table, width_of, wrapped

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""

HEADER = ("QUEUE", "READY", "UNACKED", "CONSUMERS", "UNTAKEN", "PROGRAMS")
DROPPED = ("UNACKED", "CONSUMERS", "UNTAKEN")
"""Columns that a narrow terminal has no room for, the first to be left out first."""
SHORTEST = 12

SOURCES = {Source.WATCHER: "as the watcher saw them", Source.HEARTBEATS: "as the workers reported them"}


def as_text(found: ProjectQueues, stream: TextIO | None = None) -> Iterator[str]:
    """Yield the table and, below it, a total and every problem with its hint."""
    stream = stream or sys.stdout
    width = width_of(stream)
    cut = {"QUEUE": SHORTEST, "PROGRAMS": SHORTEST}
    lines = table(HEADER, list(map(_row, found.rows)), right=HEADER[1:5], width=width, cut=cut, drop=DROPPED)
    yield coloured(lines[0], "bold", stream)
    yield from lines[1:]
    yield _total(found)
    if found.problem:
        yield ""
        yield from wrapped(_unasked(found), width)
    problems = (*found.failures, *found.warnings)
    for result in problems:
        yield ""
        line = f"{found.manifest.project}: {result.level.name.lower()} {result.code}: {result.detail}"
        for part in wrapped(line, width):
            yield coloured(part, COLOURS[result.level], stream)
        yield from hint_lines(result.hint, width)
    if problems:
        yield ""
        yield see_explain(result.code for result in problems)


def _row(row: QueueRow) -> list[str]:
    return [
        row.name,
        *("-" if number is None else str(number) for number in (row.ready, row.unacknowledged, row.consumers)),
        "-" if row.untaken_seconds is None else format_duration(row.untaken_seconds),
        ", ".join(map(_program, row.programs)) or "-",
    ]


def _program(state: ProgramState) -> str:
    return state.name if state.state is State.RUNNING else f"{state.name} ({state.state.value.lower()})"


def _total(found: ProjectQueues) -> str:
    filled = [row for row in found.rows if row.ready]
    ready = sum(row.ready or 0 for row in filled)
    if not filled:
        return "no message waits" if found.rows else "no queue is known"
    messages = "1 message waits" if ready == 1 else f"{ready} messages wait"
    return f"{messages} in {len(filled)} of {len(found.rows)} queue{'' if len(found.rows) == 1 else 's'}"


def _unasked(found: ProjectQueues) -> str:
    shown = f"; shown {SOURCES[found.source]} {format_duration(found.age_seconds)} ago" if found.rows else ""
    return f"the broker was not asked: {found.problem}{shown}"


def as_json(found: ProjectQueues) -> str:
    """Return the queues as one JSON document."""
    document = {
        "format": FORMAT,
        "project": found.manifest.project,
        "source": found.source.value,
        "at": found.at,
        "age_seconds": found.age_seconds,
        "problem": found.problem or None,
        "queues": [_queue(row) for row in found.rows],
        "results": [
            {"code": each.code, "level": each.level.name, "detail": each.detail, "hint": each.hint}
            for each in (*found.failures, *found.warnings)
            if each.level is not Level.OK
        ],
    }
    return json.dumps(document, indent=2)


def _queue(row: QueueRow) -> dict[str, object]:
    return {
        "name": row.name,
        "broker": row.broker or None,
        "ready": row.ready,
        "unacknowledged": row.unacknowledged,
        "consumers": row.consumers,
        "untaken_seconds": row.untaken_seconds,
        "programs": [{"name": each.name, "state": each.state.value, "wanted": each.desired} for each in row.programs],
    }
