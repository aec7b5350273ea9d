"""Format the health of a project as text and JSON; docs/health.md describes the fields."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TextIO

from procman.model import Level, Result, State
from procman.monitoring.checks.registry import TITLES
from procman.monitoring.health import Health, ProgramHealth
from procman.output.status import COLOURS
from procman.output.terminal import coloured, printable, see_explain, table

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""


def as_text(health: Health, stream: TextIO = sys.stdout) -> Iterator[str]:
    """Yield a table of the programs and, below it, every problem with its hint."""
    rows = [[each.program.name, _word(each), each.worst.detail] for each in health.programs]
    lines = table(["NAME", "HEALTH", "DETAIL"], rows)
    yield coloured(lines[0], "bold", stream)
    for line, each in zip(lines[1:], health.programs, strict=True):
        yield coloured(line, _colour(each.worst.level), stream)
    yield ""
    problems = [result for result in health.everything if result.level is not Level.OK]
    for result in problems:
        subject = result.program or health.manifest.project
        line = f"{subject}: {result.level.name.lower()} {result.code}: {result.detail}"
        yield coloured(printable(line), _colour(result.level), stream)
        for line in result.hint.splitlines():
            yield f"  {printable(line)}"
    if problems:
        yield ""
        yield see_explain(result.code for result in problems)
    else:
        yield "no problems found"


def _word(each: ProgramHealth) -> str:
    state = each.snapshot.state
    is_idle = state.state is State.STOPPED and not state.desired and each.worst.level is Level.OK
    return "-" if is_idle else each.worst.level.name.lower()


def _colour(level: Level) -> str:
    return "" if level is Level.OK else COLOURS[level]


def as_json(health: Health) -> str:
    """Return the health as one JSON document."""
    document = {
        "format": FORMAT,
        "project": health.manifest.project,
        "at": health.at,
        "level": health.level.name,
        "exit_status": health.level.value,
        "probed": health.probed,
        "programs": [_program(each) for each in health.programs],
        "results": [_result(result) for result in health.results],
    }
    return json.dumps(document, indent=2)


def _program(each: ProgramHealth) -> dict[str, object]:
    state, verdict = each.snapshot.state, each.snapshot.verdict
    return {
        "name": each.program.name,
        "key": each.program.key,
        "kind": each.program.kind.value,
        "state": state.state.value,
        "wanted": state.desired,
        "pid": state.pid,
        "level": each.worst.level.name,
        "verdict": None if verdict is None else verdict._asdict(),
        "phase": each.snapshot.says.get("phase"),
        "results": [_result(result) for result in each.results],
    }


def _result(result: Result) -> dict[str, object]:
    return {
        "code": result.code,
        "title": TITLES[result.code],
        "level": result.level.name,
        "detail": result.detail,
        "hint": result.hint,
        "values": dict(result.values),
    }
