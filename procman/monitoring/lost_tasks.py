"""Find the tasks that a kill, a crash or a reboot interrupted, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from procman.agent.task_record import RunningTask, TaskRecord
from procman.backends import controller_of
from procman.errors import ProcmanError
from procman.host.process import START, started, stat_fields
from procman.install.state.event_log import untrusted_events
from procman.install.state.manifest import Manifest
from procman.lookup import Installed
from procman.model import End, InstalledProgram, Kind
from procman.monitoring.checks.inputs import EndReport
from procman.monitoring.ends import is_of, reports_of
from procman.monitoring.kept_ends import histories
from procman.monitoring.lost_in_pools import lost_in_pools
from procman.monitoring.lost_task import LostTask
from procman.monitoring.program_view import Moment, now, owners
from procman.monitoring.running_tasks import CLOCK_SECONDS, record_problems, run_directories, task_records
from procman.monitoring.task_outcome import fate_of
from procman.program_names import resolve

FORCED_STOP, REBOOT, UNKNOWN = "forced stop", "reboot", "unknown"
HANDED_BACK = "handed-back"
"""The event of a worker that has returned the messages of running tasks."""


class Loss(NamedTuple):
    """What the end of one process of a worker interrupted."""

    program: str
    record: TaskRecord
    ended: str
    at: float | None
    tasks: tuple[LostTask, ...]

    @property
    def unrecorded(self) -> int:
        """How many more tasks were running, of which nothing else is known."""
        return self.record.unrecorded + self.record.damaged


class LostTasks(NamedTuple):
    """The interrupted tasks of a project."""

    project: str
    losses: tuple[Loss, ...]
    of_pools: tuple[LostTask, ...] = ()
    """Those of pool processes that died alone."""
    problems: tuple[str, ...] = ()
    """Why some may be missing."""

    @property
    def tasks(self) -> list[LostTask]:
        """The tasks, in the order of their start."""
        return sorted(
            (*self.of_pools, *(task for loss in self.losses for task in loss.tasks)), key=lambda task: task.started
        )


def lost_tasks(installed: Installed, names: Sequence[str], since: float) -> LostTasks:
    """Return the tasks that were interrupted since then in the programs that `names` select; without names, in all."""
    manifest, moment = installed.manifest, now()
    programs = [each for each in resolve(manifest.project, manifest.programs, names) if is_recorded(each)]
    problems = [f"{each.name}: {problem}" for each in programs for problem in record_problems(manifest, each)[:1]]
    records = {program.name: dead_records(manifest, program) for program in programs}
    concerned = [program for program in programs if records[program.name]]
    ends: dict[str, Sequence[End]] = {}
    try:
        ends = _ends(manifest, concerned, records)
    except ProcmanError as error:
        problems.append(f"unknown what ended the processes: {error.message}")
    losses = [
        loss
        for program in concerned
        for loss in losses_of(manifest, program, records[program.name], ends.get(program.name, ()), moment)
        if (loss.at or max((task.started for task in loss.tasks), default=loss.record.started_wall)) >= since
    ]
    of_pools = [task for program in programs for task in lost_in_pools(manifest, program) if (task.at or 0) >= since]
    return LostTasks(manifest.project, tuple(losses), tuple(of_pools), tuple(problems))


def is_recorded(program: InstalledProgram) -> bool:
    """Return whether `program` keeps a record of its running tasks."""
    return program.launcher and program.kind is Kind.WORKER


def _ends(
    manifest: Manifest, programs: Sequence[InstalledProgram], records: dict[str, list[TaskRecord]]
) -> dict[str, Sequence[End]]:
    if not programs:
        return {}
    first = min(record.started_wall for program in programs for record in records[program.name])
    found = histories(manifest, controller_of(manifest), programs, first)
    return {name: history.ends for name, history in found.items()}


def dead_records(manifest: Manifest, program: InstalledProgram) -> list[TaskRecord]:
    """Return the records of tasks of the processes of `program` that have ended, the latest first."""
    records = task_records(manifest, program)
    # A process that has executed itself again keeps its pid, and its own record is the first.
    # Of an overlapping worker, that of any slot.
    running = [record for record in (records if program.overlap_max else records[:1]) if _is_running(record)]
    return [record for record in records if record.total and record not in running]


def _is_running(record: TaskRecord) -> bool:
    # The id of the boot tells nothing here: in a container, a unit with its own /proc sees another one than a shell.
    fields, began = stat_fields(record.pid), started(record.pid)
    if not fields or fields[0] in (b"Z", b"X"):
        return False
    # A process 1 may be that of a namespace of its own, as with PrivatePIDs=.
    if record.start_ticks is not None and record.pid != 1:
        return int(fields[START]) == record.start_ticks
    # After a reboot, a process with this pid has begun later. An earlier agent recorded only the time.
    return (began or 0.0) <= record.started_wall + CLOCK_SECONDS


def losses_of(
    manifest: Manifest, program: InstalledProgram, records: Sequence[TaskRecord], ends: Sequence[End], moment: Moment
) -> Iterator[Loss]:
    """Yield what the end of the process of each of `records` interrupted, as far as `ends` explain it."""
    events = [
        event
        for directory in run_directories(manifest, program)
        for event in untrusted_events(directory, program.name, owners(program.user))
    ]
    handed_back = {each: event.at for event in events if event.what == HANDED_BACK for each in event.task_ids}
    for record in records:
        end = next((each for each in ends if is_of(each, record.pid, record.started_wall)), None)
        report = reports_of(manifest, program, [end])[0] if end else None
        yield _loss(program, record, report, handed_back, moment)


def _loss(
    program: InstalledProgram,
    record: TaskRecord,
    report: EndReport | None,
    handed_back: Mapping[str, float],
    moment: Moment,
) -> Loss:
    is_of_this_boot = _is_of_this_boot(record, moment)
    ended, at = _cause(report, is_of_this_boot=is_of_this_boot), report.end.at if report else None
    tasks = []
    for task in record.tasks:
        fate = fate_of(
            task,
            record,
            # A task that was handed back before it started runs here again.
            handed_back=[task.id] if handed_back.get(task.id, 0.0) >= task.started_wall else (),
            runs_on=is_of_this_boot and _runs_on(task, moment),
            # The kernel takes half a minute to write the record to the disk, and a crash of the host does not wait.
            is_certain=is_of_this_boot or report is not None,
        )
        tasks.append(
            LostTask(program.name, task.id, task.name, task.started_wall, task.acks_late, ended, at, fate, task.is_cut)
        )
    return Loss(program.name, record, ended, at, tuple(tasks))


def _is_of_this_boot(record: TaskRecord, moment: Moment) -> bool:
    # A record that began after the boot is of this one, whatever id of the boot its process saw.
    return record.boot_id in (None, moment.boot) or record.started_wall >= moment.wall - moment.monotonic


def _cause(report: EndReport | None, *, is_of_this_boot: bool) -> str:
    if report is None:
        return UNKNOWN if is_of_this_boot else REBOOT
    return FORCED_STOP if report.end.is_forced else report.reason


def _runs_on(task: RunningTask, moment: Moment) -> bool:
    """Return whether the pool process of `task` has outlived its main process."""
    if not task.pool_pid:
        return False
    fields, began = stat_fields(task.pool_pid), started(task.pool_pid)
    if not fields or fields[0] in (b"Z", b"X") or began is None:
        return False
    return began <= moment.wall - (moment.monotonic - task.started) + CLOCK_SECONDS
