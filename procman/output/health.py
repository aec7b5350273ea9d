"""Format the health of a project as text and JSON; docs/health.md describes the fields."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TextIO

from procman.model import Level, Result, State
from procman.monitoring.checks.registry import TITLES
from procman.monitoring.health import Health, ProgramHealth
from procman.monitoring.states import answers_only
from procman.output.grouping import grouped
from procman.output.shared import in_order, shared
from procman.output.status import COLOURS, SHORTEST_NAME, as_seen
from procman.output.summary import named, summary
from procman.output.terminal import coloured, count_accepted, hint_lines, see_explain, table, width_of, wrapped

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""

NOTED = ("PM404",)
"""Checks with news that is no problem."""


def as_text(health: Health, stream: TextIO | None = None, *, verbose: bool = False) -> Iterator[str]:
    """Yield a table of the programs and, below it, every problem with its hint; accepted warnings if `verbose`."""
    stream = stream or sys.stdout
    width = width_of(stream)
    rows = grouped(health.programs, lambda each: None if verbose or width is None else _alike(each))
    cells = [[name, _word(members[0]), members[0].worst.detail] for name, members in rows]
    lines = table(["NAME", "HEALTH", "DETAIL"], cells, width=width, cut={"DETAIL": 20, "NAME": SHORTEST_NAME})
    yield coloured(lines[0], "bold", stream)
    for line, (_, members) in zip(lines[1:], rows, strict=True):
        yield coloured(line, _colour(members[0].worst.level), stream)
    yield summary(each.snapshot for each in health.programs)
    yield ""
    problems = in_order(result for result in health.everything if result.level is not Level.OK)
    accepted = [result for result in health.everything if result.accepted]
    noted = [each for each in health.everything if each.code in NOTED and each.level is Level.OK and not each.accepted]
    for names, result in shared([*problems, *(accepted if verbose else ()), *noted]):
        subject = named(names) or health.manifest.project
        level = "accepted" if result.accepted else result.level.name.lower()
        for line in wrapped(f"{subject}: {level} {result.code}: {result.detail}", width):
            yield coloured(line, _colour(result.level), stream)
        yield from hint_lines(result.hint, width)
    if problems:
        yield ""
        yield see_explain(result.code for result in problems)
    else:
        yield "no problems found"
    if only := answers_only(each.snapshot.state for each in health.programs):
        yield from wrapped(as_seen(only), width)
    if accepted:
        yield count_accepted([result.code for result in accepted])


def _alike(each: ProgramHealth) -> object:
    return (each.worst.detail, each.snapshot.is_up) if each.worst.level is Level.OK else None


def _word(each: ProgramHealth) -> str:
    state = each.snapshot.state
    is_idle = state.state is State.STOPPED and not state.desired and each.worst.level is Level.OK
    return "-" if is_idle else each.worst.level.name.lower()


def _colour(level: Level) -> str:
    return "" if level is Level.OK else COLOURS[level]


def as_json(health: Health) -> str:
    """Return the health as one JSON document."""
    return json.dumps(as_document(health), indent=2)


def as_document(health: Health) -> dict[str, object]:
    """Return the fields of the JSON document."""
    return {
        "format": FORMAT,
        "project": health.manifest.project,
        "at": health.at,
        "level": health.level.name,
        "exit_status": health.level.value,
        "probed": health.probed,
        "answers_only": answers_only(each.snapshot.state for each in health.programs) or None,
        "programs": [_program(each) for each in health.programs],
        "results": [_result(result) for result in health.results],
    }


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
        "accepted": result.accepted,
    }
