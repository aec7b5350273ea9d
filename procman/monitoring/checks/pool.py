"""PM104 to PM106: check the processes below a worker's main process."""

from __future__ import annotations

import time
from collections.abc import Iterator

from procman.agent.verdict import CONSUMING, format_duration
from procman.host.process_table import Process
from procman.model import Kind, Level, Result
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

WITHOUT_CHILDREN = ("solo", "threads", "gevent", "eventlet")

YOUNG_SECONDS = 10.0
"""More than the age at which Celery kills a new pool process that does not answer (worker_proc_alive_timeout, 4 s by
default)."""

ESTABLISHED_SECONDS = 60.0
"""After this time, the pool processes of an idle worker are no longer new."""

REPLACED_SECONDS = 20.0
"""Several times the five seconds after which Celery at the latest replaces a pool process that has ended."""

FEWEST_ZOMBIES = 5


def check_children(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether each worker with a prefork pool has all its pool processes (PM104)."""
    for snapshot in running.up:
        if snapshot.program.kind is Kind.WORKER and running.tree(snapshot):
            yield _of_children(snapshot, _children(running, snapshot))


def _of_children(snapshot: ProgramSnapshot, found: list[Process]) -> Result:
    program = snapshot.program
    children = [child for child in found if not child.is_zombie]
    if lacks_pool(snapshot, len(children)):
        return no_pool(snapshot, zombies=len(found))
    slots = snapshot.says.get("slots") or program.concurrency
    values = {"pool_processes": float(len(children))}
    if _pool(snapshot) != "prefork" or not slots or len(children) >= slots or snapshot.says.get("phase") != CONSUMING:
        return Result("PM104", program.name, Level.OK, "", "", values)
    # A pool process is being replaced after its last task, or the pool is growing.
    is_changing = any(child.is_zombie or child.age < YOUNG_SECONDS for child in found)
    detail = f"{len(children)} of its {slots} pool processes {'is' if len(children) == 1 else 'are'} running"
    hint = "" if is_changing else f"procman logs {program.name}"
    return Result("PM104", program.name, Level.OK if is_changing else Level.WARNING, detail, hint, values)


def lacks_pool(snapshot: ProgramSnapshot, children: int) -> bool:
    """Return whether a worker has no pool process although it should have one by now."""
    if snapshot.program.kind is not Kind.WORKER or children or _pool(snapshot) in WITHOUT_CHILDREN:
        return False
    # A worker that is starting has none yet, and its heartbeat shows that, or that of the process it waits for.
    return not (snapshot.says or snapshot.heartbeat.earlier) or snapshot.says.get("phase") == CONSUMING


def no_pool(snapshot: ProgramSnapshot, *, zombies: int = 0) -> Result:
    """Return PM104 for a worker of whose pool processes none is left but `zombies`."""
    program, values = snapshot.program, {"pool_processes": 0.0}
    if snapshot.says.get("pool_processes") is not None:
        return _no_pool_for(snapshot, values)
    if zombies:
        return Result("PM104", program.name, Level.OK, "its pool process is being replaced", "", values)
    is_sure = _pool(snapshot) is not None and not snapshot.says and not _is_new(snapshot)
    hint = f"procman logs {program.name}"
    if _pool(snapshot) is None:
        hint += f'; if the app uses another pool, set it in [{program.key}]: pool = "solo", "threads" ...'
    detail = "it has no pool process: it is importing the app, waiting for the broker, or stuck"
    return Result("PM104", program.name, Level.CRITICAL if is_sure else Level.WARNING, detail, hint, values)


def _no_pool_for(snapshot: ProgramSnapshot, values: dict[str, float]) -> Result:
    """Judge by the heartbeat for how long there has been none: Celery may replace each one after a single task."""
    name, says = snapshot.program.name, snapshot.says
    # The event loop replaces pool processes; while it hangs, for instance with its broker, that is another problem.
    lasted = (says["loop"] or says["written"]) - (says["pool_unready_since"] or says["written"])
    if lasted <= REPLACED_SECONDS:
        return Result("PM104", name, Level.OK, "its pool process is being replaced", "", values)
    detail = f"it has no pool process, and none was ready in the last {format_duration(lasted)}"
    return Result("PM104", name, Level.CRITICAL, detail, f"procman logs {name}", values)


def _is_new(snapshot: ProgramSnapshot) -> bool:
    since = snapshot.state.since
    return since is not None and time.time() - since < ESTABLISHED_SECONDS


def check_kill_loop(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether pool processes live long enough to run a task (PM105).

    Celery kills each new one that does not answer in time, for ever, while the worker still answers a ping.
    """
    for snapshot in running.up:
        children = [child for child in _children(running, snapshot) if not child.is_zombie]
        if snapshot.program.kind is not Kind.WORKER or _pool(snapshot) in WITHOUT_CHILDREN or not children:
            continue
        longest = max(YOUNG_SECONDS, snapshot.says.get("pool_start_seconds") or 0.0)
        useless = _useless_seconds(snapshot)
        is_loop = useless > ESTABLISHED_SECONDS and max(child.age for child in children) < longest
        detail = (
            f"none of its pool processes is older than {longest:g} s, and none has run a task for "
            f"{format_duration(useless)}: each exits or is killed as it starts"
        )
        hint = f"procman logs {snapshot.program.name}; if they need longer to start: worker_proc_alive_timeout"
        bad, good = (Level.CRITICAL, detail, hint), (Level.OK, "", "")
        yield Result("PM105", snapshot.program.name, *(bad if is_loop else good))


def _useless_seconds(snapshot: ProgramSnapshot) -> float:
    """Return for how long a worker has consumed without any pool process that could run a task, as far as known."""
    says = snapshot.says
    if says.get("phase") != CONSUMING or says["busy"]:
        return 0.0
    if says["pool_starting"] is not None:
        return float(says["written"] - (says["pool_unready_since"] or says["written"]))
    # While an app waits for its broker to start, the process ages and the pool does not.
    return 0.0 if says["finished"] else float(says["written"] - says["phase_since"])


def check_zombies(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield the number of processes of each program that have ended and were not reaped (PM106)."""
    for snapshot in running.up:
        zombies = sum(process.is_zombie for process in running.tree(snapshot))
        most = max(FEWEST_ZOMBIES, snapshot.says.get("slots") or snapshot.program.concurrency or 0)
        verb = "has ended and was" if zombies == 1 else "have ended and were"
        detail = f"{zombies} of its processes {verb} not reaped (zombies)" if zombies else ""
        is_bad = zombies > most
        hint = f"procman restart {snapshot.program.name}" if is_bad else ""
        level = Level.WARNING if is_bad else Level.OK
        yield Result("PM106", snapshot.program.name, level, detail, hint, {"zombies": float(zombies)})


def _pool(snapshot: ProgramSnapshot) -> str | None:
    return snapshot.says.get("pool") or snapshot.program.pool


def _children(running: ProjectSnapshot, snapshot: ProgramSnapshot) -> list[Process]:
    pid = snapshot.state.pid
    return [process for process in running.tree(snapshot) if process.parent == pid]
