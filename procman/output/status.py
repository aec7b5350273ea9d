"""Format the status of a project as a table and JSON; docs/status.md describes the fields."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TextIO

from procman.agent.verdict import format_duration
from procman.install.state.holds import Hold
from procman.model import Level, State
from procman.monitoring.status import ProgramStatus, ProjectStatus
from procman.output.terminal import coloured, moment, printable, size, table

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.CRITICAL: "red", Level.UNKNOWN: "yellow"}


def as_text(status: ProjectStatus, stream: TextIO = sys.stdout) -> Iterator[str]:
    """Yield the lines of the table and, below it, every problem with its hint."""
    header = ["NAME", "STATE", "HEALTH", "PID", "UPTIME", "MEMORY", "RESTARTS"]
    lines = table(header, [_row(status, each) for each in status.programs], right=header[3:])
    yield coloured(lines[0], "bold", stream)
    for line, each in zip(lines[1:], status.programs, strict=True):
        yield coloured(line, "" if each.result.level is Level.OK else COLOURS[each.result.level], stream)
    yield ""
    yield from _remarks(status)


def _row(status: ProjectStatus, each: ProgramStatus) -> list[str]:
    state, values = each.state, each.result.values
    memory, uptime = values.get("memory_bytes"), _uptime(status, each)
    return [
        each.program.name,
        state.state.value,
        "-" if state.state is State.STOPPED and not state.desired else each.result.level.name.lower(),
        str(state.pid or "-"),
        "-" if uptime is None else format_duration(uptime),
        size(memory) + ("*" if values.get("memory_is_rss") else ""),
        "-" if state.restarts is None else str(state.restarts),
    ]


def _uptime(status: ProjectStatus, each: ProgramStatus) -> float | None:
    return status.at - each.state.since if each.state.pid and each.state.since else None


def _remarks(status: ProjectStatus) -> Iterator[str]:
    for each in status.programs:
        if each.result.level is Level.OK and each.state.state is State.RUNNING and each.state.detail:
            yield f"{each.program.name}: {each.state.detail}"
        if each.result.level is not Level.OK:
            yield f"{each.program.name}: {each.result.detail} ({each.result.code})"
            if each.result.hint:
                yield f"  {each.result.hint}"
        if each.hold:
            yield f"{each.program.name}: {_held(each.hold)}"
            yield f"  procman release {each.program.name}"
    for reason in dict.fromkeys(each.restart_due for each in status.programs if each.restart_due):
        names = [each.program.name for each in status.programs if each.restart_due == reason]
        yield f"{', '.join(names)}: a restart is due: {reason}"
        yield f"  procman restart {' '.join(names)}"
    if any(each.result.values.get("memory_is_rss") for each in status.programs):
        yield "* resident size, which counts shared pages in each process; run as root for the exact size"
    if status.pending:
        yield f"an install was interrupted; steps left: {', '.join(status.pending)}"
        yield "  procman install"
    if not status.differences:
        yield f"in sync with {status.manifest.configuration_file} (generation {status.generation})"
        return
    yield f"not in sync with generation {status.generation}:"
    yield from (f"  {difference}" for difference in status.differences)


def _held(hold: Hold) -> str:
    until = f" until {moment(hold.until)}" if hold.until is not None else ""
    reason = f" ({hold.reason})" if hold.reason else ""
    return printable(f"held by {hold.by} since {moment(hold.since)}{until}, so it is not healed{reason}")


def as_json(status: ProjectStatus) -> str:
    """Return the status as one JSON document."""
    document = {
        "format": FORMAT,
        "project": status.manifest.project,
        "scope": status.manifest.scope.value,
        "backend": status.manifest.backend.value,
        "configuration_file": str(status.manifest.configuration_file),
        "generation": status.generation,
        "at": status.at,
        "in_sync": not status.differences,
        "differences": list(status.differences),
        "pending": list(status.pending),
        "programs": [_program(status, each) for each in status.programs],
    }
    return json.dumps(document, indent=2)


def _program(status: ProjectStatus, each: ProgramStatus) -> dict[str, object]:
    state, values = each.state, each.result.values
    children = values.get("children")
    return {
        "name": each.program.name,
        "key": each.program.key,
        "kind": each.program.kind.value,
        "state": state.state.value,
        "wanted": state.desired,
        "detail": state.detail,
        "pid": state.pid,
        "since": state.since,
        "uptime_seconds": _uptime(status, each),
        "restarts": state.restarts,
        "children": None if children is None else int(children),
        "memory_bytes": int(values["memory_bytes"]) if "memory_bytes" in values else None,
        "memory_kind": "rss" if values.get("memory_is_rss") else "pss",
        "queued": each.queued,
        "restart_due": each.restart_due or None,
        "held": None if each.hold is None else vars(each.hold),
        "health": {
            "code": each.result.code,
            "level": each.result.level.name,
            "detail": each.result.detail,
            "hint": each.result.hint,
        },
    }
