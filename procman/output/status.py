"""Format the status of a project as a table and JSON; docs/status.md describes the fields."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO, TypeVar

from procman.agent.verdict import format_duration
from procman.install.state.holds import Hold
from procman.model import Level, Result, State
from procman.monitoring.checks.inputs import FailedOverlap
from procman.monitoring.draining import Draining, described
from procman.monitoring.kept import REFUSED
from procman.monitoring.states import answers_only
from procman.monitoring.status import ProgramStatus, ProjectStatus
from procman.output.grouping import grouped, names_for_a_command
from procman.output.shared import shared
from procman.output.summary import named, summary
from procman.output.terminal import (
    coloured,
    count_accepted,
    hint_lines,
    local_time,
    moment,
    size,
    table,
    width_of,
    wrapped,
)

N = TypeVar("N", int, float)

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""

RESIDENT = "* resident size, which counts shared pages in each process; run as root for the exact size"

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.CRITICAL: "red", Level.UNKNOWN: "yellow"}


HEADER = ("NAME", "STATE", "HEALTH", "QUEUED", "PID", "UPTIME", "MEMORY", "RESTARTS")
DROPPED = ("PID", "MEMORY", "UPTIME", "RESTARTS", "QUEUED")
"""Columns that a narrow terminal has no room for, the first to be left out first."""
SHORTEST_NAME = 20


def as_text(status: ProjectStatus, stream: TextIO | None = None, *, expand: bool = True) -> Iterator[str]:
    """Yield the lines of the table and, below it, a summary and every problem with its hint.

    Unless `expand`, healthy instances in the same state share a line.
    """
    stream = stream or sys.stdout
    rows = grouped(status.programs, _alone if expand else _alike)
    width = width_of(stream)
    cells = [_row(status, *row) for row in rows]
    lines = table(HEADER, cells, right=HEADER[3:], width=width, cut={"NAME": SHORTEST_NAME}, drop=DROPPED)
    yield coloured(lines[0], "bold", stream)
    for line, (_, members) in zip(lines[1:], rows, strict=True):
        level = members[0].result.level
        yield coloured(line, "" if level is Level.OK else COLOURS[level], stream)
    yield summary(status.programs)
    yield ""
    yield from _remarks(status, width)
    accepted = [each.result.code for each in status.programs if each.result.accepted]
    if accepted:
        yield count_accepted(accepted)


def _alone(_: ProgramStatus) -> None:
    return None


def _alike(each: ProgramStatus) -> object:
    return (each.state.state, each.state.desired) if each.result.level is Level.OK and not each.hold else None


def _row(status: ProjectStatus, name: str, members: Sequence[ProgramStatus]) -> list[str]:
    first = members[0]
    state, memory = first.state, _total(each.result.values.get("memory_bytes") for each in members)
    uptime = min(_known(_uptime(status, each) for each in members), default=None)
    # Instances consume the same queues.
    queued = max(_known(each.queued for each in members), default=None)
    restarts = _total(each.state.restarts for each in members)
    return [
        name,
        state.state.value,
        "-" if state.state is State.STOPPED and not state.desired else first.result.level.name.lower(),
        "-" if queued is None else str(queued),
        str(state.pid) if state.pid and len(members) == 1 else "-",
        "-" if uptime is None else format_duration(uptime),
        size(memory) + ("*" if first.result.values.get("memory_is_rss") else ""),
        "-" if restarts is None else f"{restarts:.0f}",
    ]


def _known(figures: Iterable[N | None]) -> list[N]:
    return [each for each in figures if each is not None]


def _total(figures: Iterable[float | None]) -> float | None:
    known = _known(figures)
    return sum(known) if known else None


def _uptime(status: ProjectStatus, each: ProgramStatus) -> float | None:
    return status.at - each.state.since if each.state.pid and each.state.since else None


def _remarks(status: ProjectStatus, width: int | None) -> Iterator[str]:
    problems = [each.result for each in status.programs if each.result.level is not Level.OK]
    for names, result in shared([*status.results, *problems]):
        subject = named(names) or status.manifest.project
        yield from wrapped(f"{subject}: {result.detail} ({result.code})", width)
        yield from hint_lines(result.hint, width)
    for each in status.programs:
        if each.result.level is Level.OK and each.state.state is State.RUNNING and each.state.detail:
            yield from wrapped(f"{each.program.name}: {each.state.detail}", width)
        for draining in each.draining:
            yield from wrapped(f"{each.program.name}: {described(draining)}", width)
        if each.overlap_failed:
            yield from wrapped(f"{each.program.name}: {failed_overlap(each.overlap_failed)}", width)
            yield f"  {after_overlap(each)}"
        if each.hold:
            yield from wrapped(f"{each.program.name}: {held(each.hold)}", width)
            yield f"  procman release {each.program.name}"
    for reason in dict.fromkeys(each.restart_due for each in status.programs if each.restart_due):
        due = [each.program for each in status.programs if each.restart_due == reason]
        yield from wrapped(f"{named([each.name for each in due])}: a restart is due: {reason}", width)
        yield f"  procman restart {' '.join(names_for_a_command(due, status.manifest.programs))}"
    only = answers_only(each.state for each in status.programs)
    if only:
        yield from wrapped(as_seen(only), width)
    elif any(each.result.values.get("memory_is_rss") for each in status.programs):
        yield from wrapped(RESIDENT, width)
    yield from of_files(status, width)


def as_seen(only: str) -> str:
    """Return the line for a user whom the process manager does not answer, because it answers `only` another one."""
    seen = f"the process manager answers only {only}, so the states are those that heartbeats and /proc show"
    return f"{seen}; run as {only} for restarts, exits and exact memory (* is the resident size)"


def of_files(status: ProjectStatus, width: int | None) -> Iterator[str]:
    """Yield the lines about the files of the project: whether they are in sync, and what was interrupted."""
    if status.is_half_removed:
        steps = f"; steps left: {', '.join(status.pending)}" if status.pending else ""
        yield from wrapped(f"an uninstall was interrupted{steps}", width)
        yield "  procman uninstall"
        return
    if status.pending:
        yield from wrapped(f"an install was interrupted; steps left: {', '.join(status.pending)}", width)
        yield "  procman install"
    if not status.differences:
        yield from wrapped(f"in sync with {status.manifest.configuration_file} (generation {status.generation})", width)
        return
    yield f"not in sync with generation {status.generation}:"
    for difference in status.differences:
        yield from wrapped(difference, width, indent="  ")


def failed_overlap(overlap: FailedOverlap) -> str:
    """Return when the last overlap restart failed or was refused, and why."""
    verb = "was refused" if overlap.outcome == REFUSED else "failed"
    at = " ".join(local_time(round(overlap.at))).rstrip()
    return f"its last overlap restart {verb} at {at}: {overlap.reason}"


def after_overlap(each: ProgramStatus) -> str:
    """Return the command to type after the last overlap restart of a program failed or was refused."""
    is_refused = each.overlap_failed is not None and each.overlap_failed.outcome == REFUSED
    name = each.program.name
    return f"procman restart --overlap --wait-for-slot {name}" if is_refused else f"procman logs {name}"


def held(hold: Hold) -> str:
    """Return who holds a program, until when and why."""
    until = f" until {moment(hold.until)}" if hold.until is not None else ""
    reason = f" ({hold.reason})" if hold.reason else ""
    return f"held by {hold.by} since {moment(hold.since)}{until}, so it is not healed{reason}"


def as_json(status: ProjectStatus) -> str:
    """Return the status as one JSON document."""
    return json.dumps(as_document(status), indent=2)


def interrupted(status: ProjectStatus) -> str | None:
    """Return which command was interrupted; None if none was."""
    return "uninstall" if status.is_half_removed else "install" if status.pending else None


def as_document(status: ProjectStatus) -> dict[str, object]:
    """Return the fields of the JSON document."""
    return {
        "format": FORMAT,
        "project": status.manifest.project,
        "scope": status.manifest.scope.value,
        "backend": status.manifest.backend.value,
        "configuration_file": str(status.manifest.configuration_file),
        "generation": status.generation,
        "at": status.at,
        "answers_only": answers_only(each.state for each in status.programs) or None,
        "in_sync": not (status.differences or status.is_half_removed),
        "differences": list(status.differences),
        "pending": list(status.pending),
        "interrupted": interrupted(status),
        "programs": [_program(status, each) for each in status.programs],
        "results": [_result(result) for result in status.results],
    }


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
        "user": each.program.user,
        "log_file": each.program.log_file,
        "queues": [_queue(queue) for queue in each.says.get("queues", ())],
        "tasks": [_dated(status, task, "since") for task in each.says.get("tasks", ())],
        "next_entries": [_dated(status, entry, "due") for entry in each.says.get("next_entries", ())],
        "ends": [{"at": end.at, "how": end.how, "pid": end.pid} for end in state.history.ends],
        "restart_due": each.restart_due or None,
        "draining": [_draining(draining) for draining in each.draining],
        "overlap_failed": None if each.overlap_failed is None else each.overlap_failed._asdict(),
        "held": None if each.hold is None else vars(each.hold),
        "health": _result(each.result),
    }


def _draining(draining: Draining) -> dict[str, object]:
    return {**draining._asdict(), "tasks": [task._asdict() for task in draining.tasks]}


def _result(result: Result) -> dict[str, object]:
    return {
        "code": result.code,
        "level": result.level.name,
        "detail": result.detail,
        "hint": result.hint,
        "accepted": result.accepted,
    }


def _queue(queue: Mapping[str, Any]) -> dict[str, object]:
    return {name: queue[name] for name in ("name", "messages", "consumers")}


def _dated(status: ProjectStatus, item: Mapping[str, Any], name: str) -> dict[str, object]:
    """Return `item` with its field `name`, by the monotonic clock, in seconds since the epoch."""
    at = item[name]
    return {**item, name: None if at is None else status.at + at - time.monotonic()}
