"""PM109: find processes that no process manager controls; report them, never end them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from procman.accounts import user_id
from procman.celery_cli.running import celery_arguments
from procman.host.process import environment_of, user_of
from procman.host.process_table import Process
from procman.model import Level, Result, State
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

LONGEST_PATTERN = 300


class Orphan(NamedTuple):
    """A process without a process manager; what identifies it is read once, and not for each program."""

    process: Process
    user: int | None
    environment: Mapping[str, str]
    """Empty without permission."""


def _examined(process: Process) -> Orphan:
    return Orphan(process, user_of(process.pid), environment_of(process.pid))


def check_orphans(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield the processes of each program that have no process manager: their parent is process 1.

    Those of an earlier run may still be finishing tasks after their process manager was killed; the next process waits
    for them. Those that detached themselves do not hold the lock.
    """
    known = _known(running)
    orphans = [_examined(each) for each in sorted(running.processes.values()) if _is_orphan(each, known, running)]
    for snapshot in running.programs:
        if not snapshot.program.launcher or snapshot.state.state is State.UNKNOWN:
            continue
        found = [each.process for each in orphans if _is_of(each, snapshot, running)]
        if not found:
            yield Result("PM109", snapshot.program.name, Level.OK, "")
        for detached in (False, True):
            alike = [each for each in found if _is_launched(each, running) is not detached]
            if alike:
                yield (_detached if detached else _of_earlier_run)(snapshot, alike)


def _of_earlier_run(snapshot: ProgramSnapshot, found: Sequence[Process]) -> Result:
    pids, subject, verb = _counted(found)
    detail = f"{subject} of an earlier run {verb} still running, without a process manager"
    stop = f"procman stop --draining {snapshot.program.name}" if snapshot.program.overlap_max else f"kill -TERM {pids}"
    hint = f"Running tasks may still finish; if there are none: {stop}"
    return Result("PM109", snapshot.program.name, Level.WARNING, detail, hint)


def _detached(snapshot: ProgramSnapshot, found: Sequence[Process]) -> Result:
    pids, subject, verb = _counted(found)
    detail = f"{subject} {verb} detached from the process manager, by a variable such as CELERY_WORKER_DETACH"
    pattern = shlex.quote("^" + re.escape(" ".join(found[0].argv)[:LONGEST_PATTERN]))
    hint = f"Remove the variable, then: kill -TERM {pids}\nIf new ones appear: pkill -KILL -f {pattern}"
    return Result("PM109", snapshot.program.name, Level.WARNING, detail, hint)


def _counted(found: Sequence[Process]) -> tuple[str, str, str]:
    pids = [str(each.pid) for each in found]
    noun, verb = ("process", "is") if len(pids) == 1 else ("processes", "are")
    return " ".join(pids), f"{noun} {', '.join(pids)}", verb


def _is_orphan(process: Process, known: set[int], running: ProjectSnapshot) -> bool:
    if process.pid in known or process.is_zombie or not _is_adopted(process, running):
        return False
    return _is_launched(process, running) or bool({"worker", "beat"} & {*celery_arguments(process.argv)})


def _is_launched(process: Process, running: ProjectSnapshot) -> bool:
    return str(running.launcher) in process.argv[1:2]


def _known(running: ProjectSnapshot) -> set[int]:
    mains = [each.state.pid for each in running.programs if each.state.pid] + list(running.others)
    return {process.pid for pid in mains for process in running.below(pid)}


def _is_adopted(process: Process, running: ProjectSnapshot) -> bool:
    parent = running.processes.get(process.parent)
    # A user's systemd adopts orphans, as process 1 does.
    return process.parent == 1 or (parent is not None and parent.argv[:1] != () and _name(parent.argv[0]) == "systemd")


def _is_of(orphan: Orphan, snapshot: ProgramSnapshot, running: ProjectSnapshot) -> bool:
    """Return whether this program's launcher started the process, as the program's user."""
    return _is_started_by(orphan, snapshot, running) and orphan.user == user_id(snapshot.program.user)


def _is_started_by(orphan: Orphan, snapshot: ProgramSnapshot, running: ProjectSnapshot) -> bool:
    # A unit of the administrator has parent 1, too, but not the launcher's variables.
    name, argv, is_launched = snapshot.program.name, orphan.process.argv, _is_launched(orphan.process, running)
    if orphan.environment:
        directory = orphan.environment.get("PROCMAN_RUN_DIRECTORY")
        homes = running.manifest.directories.runs(name, snapshot.program.overlap_max)
        is_here = is_launched or directory in [str(home) for home in homes]
        return is_here and orphan.environment.get("PROCMAN_PROGRAM") == name
    main = running.processes.get(snapshot.state.pid or 0)
    if main is None:
        return False
    return main.argv == argv if is_launched else main.argv[2:] == celery_arguments(argv)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
