"""Format the page about one program that `procman status NAME` prints."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

from procman.agent.missed_report import lines_of
from procman.agent.verdict import format_duration
from procman.backends import backend_named
from procman.model import InstalledProgram, Level, State
from procman.monitoring.checks.inputs import EndReport
from procman.monitoring.draining import described
from procman.monitoring.program_page import ProgramPage
from procman.monitoring.status import ProgramStatus, ProjectStatus
from procman.output.status import COLOURS, RESIDENT, after_overlap, as_seen, failed_overlap, held, of_files
from procman.output.terminal import coloured, folded, hint_lines, local_time, size, width_of, wrapped

LABEL_WIDTH = 12

MOST_LISTED = 20
"""Queues, and tasks."""


def as_text(status: ProjectStatus, page: ProgramPage, stream: TextIO | None = None) -> Iterator[str]:
    """Yield the lines about the only program of `status`."""
    stream = stream or sys.stdout
    [each] = status.programs
    width = width_of(stream)
    level = each.result.level
    colour = "bold" if level is Level.OK else COLOURS[level]
    yield coloured(f"{each.program.name} ([{each.program.key}])", colour, stream)
    for label, values in _fields(status, each, page):
        for number, value in enumerate(_first(values)):
            yield from wrapped(value, width, label=" " * (LABEL_WIDTH + 2) if number else f"{label:>{LABEL_WIDTH}}: ")
    yield ""
    yield from _problems(each, page, width)
    if each.state.answers_only:
        yield from wrapped(as_seen(each.state.answers_only), width)
    yield from of_files(status, width)
    if page.log:
        yield ""
        yield "last lines of its log:"
        for line in page.log:
            yield from folded(line, width, indent="  ")


def _fields(status: ProjectStatus, each: ProgramStatus, page: ProgramPage) -> Iterator[tuple[str, Sequence[str]]]:
    state, program = each.state, each.program
    yield "State", [_state(status, each)]
    yield "Health", [_health(each)]
    yield "PID", [f"{state.pid}" + (f", user {program.user}" if program.user else "")] if state.pid else []
    yield "Restarts", [_restarts(each)] if state.restarts is not None else []
    yield "Last exit", [_end(report) for report in page.ends]
    yield "Queues", [*map(_queue, each.says.get("queues", ())), *_received(each)]
    yield "Tasks", _tasks(status, each, page)
    yield "Draining", [described(draining) for draining in each.draining]
    yield "Overlap", [failed_overlap(each.overlap_failed)] if each.overlap_failed else []
    yield "Next", [f"{_local(status, entry['due'])}: {entry['name']}" for entry in each.says.get("next_entries", ())]
    yield "Missed", [] if each.says.get("missed_at") is None else lines_of(each.says, status.at)
    yield "Memory", [_memory(each)] if "memory_bytes" in each.result.values else []
    yield "Open files", [] if page.open_files is None else [str(page.open_files)]
    yield "Held", [held(each.hold)] if each.hold else []
    yield "Restart due", [each.restart_due] if each.restart_due else []
    yield "Defined in", [str(path) for path in page.defined_in]
    yield "Log", [page.log_problem] if page.log_problem else _logs(status, program)
    yield "Not shown", [f"{name}: collecting it takes too long" for name in page.missing]


def _logs(status: ProjectStatus, program: InstalledProgram) -> list[str]:
    own = [] if program.log_file else [backend_named(status.manifest.backend).own_log]
    return [*own, *program.log_files]


def _first(values: Sequence[str]) -> list[str]:
    more = len(values) - MOST_LISTED
    return [*values[:MOST_LISTED], *([f"and {more} more"] if more > 0 else [])]


def _state(status: ProjectStatus, each: ProgramStatus) -> str:
    state = each.state
    since = f" since {_moment(state.since)} ({_ago(status, state.since)})" if state.since else ""
    purpose = " (stopped on purpose)" if state.state is State.STOPPED and not state.desired and state.since else ""
    never = " (autostart = false)" if not (state.desired or state.since or each.program.autostart) else ""
    return f"{state.state.value}{since}{purpose}{never}" + (f": {state.detail}" if state.detail else "")


def _health(each: ProgramStatus) -> str:
    if each.state.state is State.STOPPED and not each.state.desired and each.result.level is Level.OK:
        return "-"
    # A problem is described below, with its hint.
    text = each.result.detail if each.result.level is Level.OK else each.result.code
    return f"{each.result.level.name.lower()}: {text}".rstrip(": ")


def _restarts(each: ProgramStatus) -> str:
    ordered = each.state.history.ordered
    since = f", since {_moment(ordered)}" if ordered else ""
    return f"{each.state.restarts} (by the process manager{since})"


def _end(report: EndReport) -> str:
    names = [f"{task.name} [{task.id}]" for task in report.tasks[:MOST_LISTED]]
    more = [f"{report.total - len(names)} more"] if report.total > len(names) else []
    running = f"; running: {', '.join([*names, *more])}" if names or more else ""
    # Not rounded: PM111 and the events show the same second.
    return f"{_moment(int(report.end.at))}: {report.reason}{running}"


def _queue(queue: dict[str, object]) -> str:
    messages, consumers = queue["messages"], queue["consumers"]
    waiting = "length unknown" if messages is None else f"{messages} waiting"
    known = "" if consumers is None else f", {consumers} {'consumer' if consumers == 1 else 'consumers'}"
    return f"{queue['name']}: {waiting}{known}"


def _received(each: ProgramStatus) -> list[str]:
    count = each.says.get("reserved")
    return [f"{count} more {'message' if count == 1 else 'messages'} received and not started yet"] if count else []


def _tasks(status: ProjectStatus, each: ProgramStatus, page: ProgramPage) -> list[str]:
    if page.tasks is not None:
        return [f"{task.name} [{task.id}] for {_ago(status, task.started_wall)}" for task in page.tasks]
    found = []
    for task in each.says.get("tasks", ()):
        since = f" for {format_duration(time.monotonic() - task['since'])}" if task["since"] is not None else ""
        found.append(f"{task['name']}" + (f" [{task['id']}]" if task["id"] else "") + since)
    return found


def _memory(each: ProgramStatus) -> str:
    values = each.result.values
    children = int(values.get("children", 0))
    processes = f" in {children + 1} {'process' if children == 0 else 'processes'}"
    # For a user whom the process manager does not answer, the line below names what needs another user.
    kind = "resident size" if each.state.answers_only else RESIDENT[2:]
    return size(values["memory_bytes"]) + processes + (f" ({kind})" if values.get("memory_is_rss") else "")


def _ago(status: ProjectStatus, at: float) -> str:
    return format_duration(max(0.0, status.at - at))


def _local(status: ProjectStatus, due: float) -> str:
    return _moment(status.at + due - time.monotonic())


def _moment(at: float) -> str:
    return " ".join(local_time(round(at))).rstrip()


def _problems(each: ProgramStatus, page: ProgramPage, width: int | None) -> Iterator[str]:
    """Yield every problem with its hint; that of the row first, which other checks may not have."""
    own = [each.result] if each.result.level is not Level.OK else []
    codes = {result.code for result in own}
    for result in [*own, *(result for result in page.results if result.code not in codes)]:
        yield from wrapped(f"{result.level.name.lower()}: {result.detail} ({result.code})", width)
        yield from hint_lines(result.hint, width)
    if each.overlap_failed:
        yield after_overlap(each)
    if each.hold:
        yield f"procman release {each.program.name}"
    if each.restart_due:
        yield f"procman restart {each.program.name}"
