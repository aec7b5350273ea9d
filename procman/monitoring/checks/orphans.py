"""PM109: find processes that no process manager controls; report them, never end them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from procman.accounts import user_id
from procman.host.process import environment_of, user_of
from procman.host.process_table import Process
from procman.model import Level, Result, State
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

CELERY = "celery"
"""A word of every command line that starts Celery."""

MODULES = (f"{CELERY}/__main__.py", f"{CELERY}/bin/celery.py")

LONGEST_PATTERN = 300


def check_orphans(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield the processes of each program that have no process manager: their parent is process 1.

    Those of an earlier run may still be finishing tasks after their process manager was killed; the next process waits
    for them. Those that detached themselves do not hold the lock.
    """
    known = _known(running)
    orphans = [each for each in running.processes.values() if _is_orphan(each, known, running)]
    for snapshot in running.programs:
        if not snapshot.program.launcher or snapshot.state.state is State.UNKNOWN:
            continue
        found = [each for each in orphans if _is_of(each, snapshot, running)]
        if not found:
            yield Result("PM109", snapshot.program.name, Level.OK, "")
        for detached in (False, True):
            alike = [each for each in found if _is_launched(each, running) is not detached]
            if alike:
                yield (_detached if detached else _of_earlier_run)(snapshot, alike)


def _of_earlier_run(snapshot: ProgramSnapshot, found: Sequence[Process]) -> Result:
    pids, subject, verb = _counted(found)
    detail = f"{subject} of an earlier run {verb} still running, without a process manager"
    hint = f"Running tasks may still finish; if there are none: kill -TERM {pids}"
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


def _is_of(process: Process, snapshot: ProgramSnapshot, running: ProjectSnapshot) -> bool:
    """Return whether the launcher of this program started the process; a unit of systemd's has parent 1, too."""
    name, main = snapshot.program.name, running.processes.get(snapshot.state.pid or 0)
    if user_of(process.pid) != user_id(snapshot.program.user):
        return False
    environment = environment_of(process.pid)
    if environment:
        directory = str(running.manifest.directories.run(name))
        is_here = _is_launched(process, running) or environment.get("PROCMAN_RUN_DIRECTORY") == directory
        return is_here and environment.get("PROCMAN_PROGRAM") == name
    if _is_launched(process, running):
        return main is not None and main.argv == process.argv
    return main is not None and main.argv[2:] == celery_arguments(process.argv)


def celery_arguments(argv: Sequence[str]) -> Sequence[str]:
    """Return the words after the `celery` command in `argv`: a script of Python, `python -m celery`, or `celery`."""
    for number, word in enumerate(argv[:4]):
        if _name(word) == CELERY or word.endswith(MODULES):
            return argv[number + 1 :]
    return ()


def _name(path: str) -> str:
    return path.rpartition("/")[2]
