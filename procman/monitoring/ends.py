"""Describe how and when the main processes of programs ended, and which tasks were running."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from procman.agent.process_end import KILLED
from procman.agent.task_record import RunningTask, TaskRecord
from procman.backends import controller_of
from procman.host.kernel_log import MemoryKill, is_among, memory_kills
from procman.host.process import START, stat_fields
from procman.host.unit_names import unit_of
from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import MOST_TASKS, Event
from procman.install.state.manifest import Manifest
from procman.model import NO_HISTORY, End, InstalledProgram, Kind
from procman.monitoring.checks.inputs import EndReport, ProgramSnapshot
from procman.monitoring.healed_inside import healed_inside
from procman.monitoring.healing_history import HealingHistory, read_healing_history
from procman.monitoring.keeper_state import keeper_state
from procman.monitoring.kept_ends import histories, noted_ends
from procman.monitoring.program_view import Moment, now, read_heartbeat
from procman.monitoring.running_tasks import CLOCK_SECONDS, task_records

HISTORY_SECONDS = 3600.0
DAY_SECONDS = 86400.0

AGENT_SECONDS = 120.0
"""How much later than the process its agent may start, on a busy host."""

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
    cause = _cause(end, for_memory=for_memory)
    if not program.launcher or program.kind is not Kind.WORKER:
        return EndReport(end, cause)
    records = _records_of(manifest, program, end)
    tasks = tuple(task for record in records for task in record.tasks)
    return EndReport(end, cause, tasks, sum(record.total for record in records))


def _records_of(manifest: Manifest, program: InstalledProgram, end: End) -> list[TaskRecord]:
    """Return the record of the process that ended; of a keeper's end, those of all that ended with it."""
    records = [each for each in task_records(manifest, program) if is_of(end, each.pid, each.started_wall)]
    if not end.of_keeper:
        return records[:1]
    earlier = {each.end.pid for each in noted_ends(keeper_state(manifest, program)) if each.end.at < end.at}
    return [each for each in records if each.pid not in earlier and not _outlives(each)]


def _outlives(record: TaskRecord) -> bool:
    """Return whether its process still runs; one that its keeper's end has not ended finishes its tasks."""
    fields = stat_fields(record.pid)
    is_same = bool(fields) and record.start_ticks is not None and int(fields[START]) == record.start_ticks
    return is_same and fields[0] not in (b"Z", b"X")


def is_of(end: End, pid: int, started: float) -> bool:
    """Return whether `end` is that of the process `pid` that began at `started`, by its own clock.

    Neither supervisord's log nor the journal has the start in clock ticks, which no setting of the clock could change.
    """
    if end.pid is not None and pid != end.pid and not end.of_keeper:
        return False
    began = end.started or 0.0
    # Both note the start at once. If the clock was set back later, the end seems to come before it.
    latest = end.at if end.at >= began else began + AGENT_SECONDS
    return began - CLOCK_SECONDS <= started <= latest


def pool_reports(says: Mapping[str, Any], since: float) -> list[EndReport]:
    """Return a report of each pool process whose end the heartbeat `says` has noted `since` then."""
    ends = [end for end in says.get("pool_ends", ()) if since < end["at"] <= time.time()]
    kills = memory_kills(since - 60) if any(_may_be_memory(end) for end in ends) else []
    return [_pool_report(end, kills) for end in ends]


def _may_be_memory(end: Mapping[str, Any]) -> bool:
    return bool(end["how"] == KILLED and not end["for_memory"])


def _pool_report(noted: Mapping[str, Any], kills: Iterable[MemoryKill]) -> EndReport:
    end = End(noted["at"], noted["how"], noted["pid"], by_kernel=noted["for_memory"])
    task = RunningTask(noted["task_id"] or "", noted["task"], 0.0, 0.0) if noted["task"] else None
    for_memory = end.by_kernel or is_among(kills, end.at, end.pid, None)
    return EndReport(end, _cause(end, for_memory=for_memory), (task,) if task else (), int(task is not None))


def _cause(end: End, *, for_memory: bool) -> str:
    if end.how != KILLED:
        return ""
    return "the kernel killed it for lack of memory" if for_memory else "cause unknown"


def event_of(program: str, report: EndReport, *, of_pool: bool = False) -> Event:
    """Return the event "ended" for `report`, of a main process or a pool process; it has the time of the end."""
    tasks = report.tasks[:MOST_TASKS]
    code = "PM112" if of_pool else "PM111"
    return Event(
        at=report.end.at,
        program=program,
        what="ended",
        code="" if report.end.is_forced else code,
        reason=f"pool process {report.end.pid}: {report.reason}" if of_pool else report.reason,
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
    manifest: Manifest, snapshots: Sequence[ProgramSnapshot], history: HealingHistory, moment: Moment
) -> Mapping[str, tuple[Event, ...]]:
    """Return the ends that have no event yet, by program, as events; none at the first check."""
    cases = {case.program: case for case in history.cases}
    programs = [snapshot.program for snapshot in snapshots]
    found = histories(manifest, controller_of(manifest), programs, moment.wall - HISTORY_SECONDS)
    events = {}
    for program, snapshot in zip(programs, snapshots, strict=True):
        since = cases[program.name].ended if program.name in cases else moment.wall
        ends = [end for end in found.get(program.name, NO_HISTORY).ends if end.at > since]
        healed = healing_times(manifest, program, history, moment) if ends else ()
        events[program.name] = (
            *events_of(manifest, program, ends, healed),
            *_pool_events(program, snapshot.says, since),
        )
    return events


def unlogged_events(manifest: Manifest, programs: Sequence[InstalledProgram], logged: Sequence[Event]) -> list[Event]:
    """Return the ends of a day that were recorded and that no watcher has logged, as events."""
    controller, since, moment = controller_of(manifest), time.time() - DAY_SECONDS, now()
    found = histories(manifest, controller, programs, since)
    events: list[Event] = []
    for program, state in zip(programs, controller.states(programs), strict=True):
        own = [event for event in logged if event.program == program.name]
        ends, healed = found.get(program.name, NO_HISTORY).ends, [each.at for each in own if each.what == "healing"]
        says = read_heartbeat(manifest, program, state, moment).content or {}
        recorded = [*events_of(manifest, program, ends, healed), *_pool_events(program, says, since)]
        logged_at = {round(event.at, 2) for event in own if event.what == "ended"}
        events += [event for event in recorded if round(event.at, 2) not in logged_at]
    return events


def events_of(
    manifest: Manifest, program: InstalledProgram, ends: Sequence[End], healed: Iterable[float]
) -> tuple[Event, ...]:
    """Return an event for each of `ends`, but none for those in a crash loop, or by healing that began at `healed`."""
    unexpected = _without_healing([end for end in ends if not end.is_repeated], program, healed)
    return tuple(event_of(program.name, report) for report in reports_of(manifest, program, unexpected))


def _pool_events(program: InstalledProgram, says: Mapping[str, Any], since: float) -> Iterator[Event]:
    return (event_of(program.name, report, of_pool=True) for report in pool_reports(says, since))


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
