"""Describe how and when the main processes of programs ended, and which tasks were running."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from procman.backends import controller_of
from procman.host.kernel_log import MemoryKill, is_among, memory_kills
from procman.host.unit_names import unit_of
from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import MOST_TASKS, Event
from procman.install.state.manifest import Manifest
from procman.model import NO_HISTORY, End, InstalledProgram, Kind
from procman.monitoring.checks.inputs import EndReport
from procman.monitoring.healed_inside import healed_inside
from procman.monitoring.healing_history import HealingHistory, read_healing_history
from procman.monitoring.program_view import Moment, now
from procman.monitoring.running_tasks import CLOCK_SECONDS, task_records

KILLED = "killed by SIGKILL"

HISTORY_SECONDS = 3600.0
DAY_SECONDS = 86400.0

HEALING_SECONDS = 60.0
"""How long after its stop timeout healing or systemd's watchdog has killed a program."""


def reports_of(manifest: Manifest, program: InstalledProgram, ends: Sequence[End]) -> list[EndReport]:
    """Return a report of each of `ends` of `program`, with the tasks that its record shows, as far as it is kept."""
    killed = [end.at for end in ends if end.how == KILLED and not end.by_kernel]
    # The kernel's log is long: read it only for what it could explain.
    kills = memory_kills(min(killed) - 60) if killed else []
    return [_report(manifest, program, end, kills) for end in ends]


def _report(manifest: Manifest, program: InstalledProgram, end: End, kills: Iterable[MemoryKill]) -> EndReport:
    for_memory = end.by_kernel or (end.how == KILLED and is_among(kills, end.at, end.pid, unit_of(program)))
    cause = ""
    if end.how == KILLED:
        cause = "the kernel killed it for lack of memory" if for_memory else "cause unknown"
    if not program.launcher or program.kind is not Kind.WORKER:
        return EndReport(end, cause)
    record = next((each for each in task_records(manifest, program) if _is_of(end, each.pid, each.started_wall)), None)
    return EndReport(end, cause, record.tasks if record else (), record.total if record else 0)


def _is_of(end: End, pid: int, started: float) -> bool:
    if end.pid is not None and pid != end.pid:
        return False
    return (end.started or 0.0) - CLOCK_SECONDS <= started <= end.at


def event_of(program: str, report: EndReport) -> Event:
    """Return the event "ended" for `report`; it has the time of the end."""
    tasks = report.tasks[:MOST_TASKS]
    return Event(
        at=report.end.at,
        program=program,
        what="ended",
        code="" if report.end.is_forced else "PM111",
        reason=report.reason,
        tasks=tuple(task.name for task in tasks),
        task_ids=tuple(task.id for task in tasks),
    )


def last_unexpected(manifest: Manifest, program: InstalledProgram, ends: Sequence[End]) -> EndReport | None:
    """Return a report of the last of `ends` that healing did not cause; None if it caused all of them."""
    moment = now()
    with Tree() as tree:
        history = read_healing_history(tree, manifest.directories.state, moment.boot or "")
    unexpected = _without_healing(ends, program, healing_times(manifest, program, history, moment))
    return reports_of(manifest, program, unexpected[-1:])[0] if unexpected else None


def new_events(
    manifest: Manifest, programs: Sequence[InstalledProgram], history: HealingHistory, moment: Moment
) -> Mapping[str, tuple[Event, ...]]:
    """Return the ends that have no event yet, by program, as events; none at the first check."""
    cases = {case.program: case for case in history.cases}
    found = controller_of(manifest).histories(programs, moment.wall - HISTORY_SECONDS)
    events = {}
    for program in programs:
        since = cases[program.name].ended if program.name in cases else moment.wall
        ends = [end for end in found.get(program.name, NO_HISTORY).ends if end.at > since]
        if ends:
            events[program.name] = events_of(manifest, program, ends, healing_times(manifest, program, history, moment))
    return events


def unlogged_events(manifest: Manifest, programs: Sequence[InstalledProgram], logged: Sequence[Event]) -> list[Event]:
    """Return the ends of a day that the process manager recorded and that no watcher has logged, as events."""
    found = controller_of(manifest).histories(programs, time.time() - DAY_SECONDS)
    events: list[Event] = []
    for program in programs:
        own = [event for event in logged if event.program == program.name]
        known = [event.at for event in own if event.what == "ended"]
        ends = [
            end for end in found.get(program.name, NO_HISTORY).ends if not any(abs(end.at - at) < 1 for at in known)
        ]
        events += events_of(manifest, program, ends, [event.at for event in own if event.what == "healing"])
    return events


def events_of(
    manifest: Manifest, program: InstalledProgram, ends: Sequence[End], healed: Iterable[float]
) -> tuple[Event, ...]:
    """Return an event for each of `ends`, but none for those in a crash loop, or by healing that began at `healed`."""
    unexpected = _without_healing([end for end in ends if not end.is_repeated], program, healed)
    return tuple(event_of(program.name, report) for report in reports_of(manifest, program, unexpected))


def healing_times(
    manifest: Manifest, program: InstalledProgram, history: HealingHistory, moment: Moment
) -> list[float]:
    """Return when healing of `program` began, within an hour, in seconds since the epoch."""
    case = next((case for case in history.cases if case.program == program.name), None)
    began = [*(case.restarts if case else ()), *healed_inside(manifest, program, moment)[0]]
    return [moment.wall - moment.monotonic + each for each in began]


def _without_healing(ends: Iterable[End], program: InstalledProgram, healed: Iterable[float]) -> list[End]:
    times, longest = tuple(healed), program.stop_timeout_seconds + HEALING_SECONDS
    return [end for end in ends if not any(began - CLOCK_SECONDS <= end.at <= began + longest for began in times)]
