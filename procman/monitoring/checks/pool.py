"""PM104 to PM106: check the processes below a worker's main process."""

from __future__ import annotations

from collections.abc import Iterator

from procman.agent.verdict import CONSUMING
from procman.host.process_table import Process
from procman.model import Kind, Level, Result
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

WITHOUT_CHILDREN = ("solo", "threads", "gevent", "eventlet")

YOUNG_SECONDS = 10.0
"""More than the age at which Celery kills a new pool process that does not answer (worker_proc_alive_timeout, 4 s by
default)."""

ESTABLISHED_SECONDS = 60.0
"""After this time, the pool processes of an idle worker are no longer new."""

FEWEST_ZOMBIES = 5


def check_children(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether each worker with a prefork pool has all its pool processes (PM104)."""
    for snapshot in running.up:
        if snapshot.program.kind is Kind.WORKER and running.tree(snapshot):
            yield of_children(snapshot, _children(running, snapshot))


def of_children(snapshot: ProgramSnapshot, children: list[Process]) -> Result:
    """Return PM104 for a worker with the pool processes `children`."""
    program = snapshot.program
    if lacks_pool(snapshot, len(children)):
        return no_pool(snapshot)
    slots = snapshot.says.get("slots") or program.concurrency
    values = {"pool_processes": float(len(children))}
    if _pool(snapshot) != "prefork" or not slots or len(children) >= slots or snapshot.says.get("phase") != CONSUMING:
        return Result("PM104", program.name, Level.OK, "", "", values)
    # A pool process is being replaced after its last task, or the pool is growing.
    is_changing = any(child.age < YOUNG_SECONDS for child in children)
    detail = f"{len(children)} of its {slots} pool processes {'is' if len(children) == 1 else 'are'} running"
    hint = "" if is_changing else f"procman logs {program.name}"
    return Result("PM104", program.name, Level.OK if is_changing else Level.WARNING, detail, hint, values)


def lacks_pool(snapshot: ProgramSnapshot, children: int) -> bool:
    """Return whether a worker has no pool process although it should have one by now."""
    if snapshot.program.kind is not Kind.WORKER or children or _pool(snapshot) in WITHOUT_CHILDREN:
        return False
    # A worker that is starting has none yet, and its heartbeat shows that.
    return not snapshot.says or snapshot.says["phase"] == CONSUMING


def no_pool(snapshot: ProgramSnapshot) -> Result:
    """Return PM104 for a worker without any pool process."""
    program = snapshot.program
    level = Level.WARNING if _pool(snapshot) is None else Level.CRITICAL
    hint = f"procman logs {program.name}"
    if _pool(snapshot) is None:
        hint += f'; if the app uses another pool, set it in [{program.key}]: pool = "solo", "threads" ...'
    detail = "it has no pool process: it is importing the app, waiting for the broker, or stuck"
    return Result("PM104", program.name, level, detail, hint, {"pool_processes": 0.0})


def check_kill_loop(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether pool processes live long enough to run a task (PM105).

    Celery kills each new one that does not answer in time, for ever, while the worker still answers a ping.
    """
    for snapshot in running.up:
        children = _children(running, snapshot)
        if snapshot.program.kind is not Kind.WORKER or _pool(snapshot) in WITHOUT_CHILDREN or not children:
            continue
        main = running.processes[snapshot.state.pid or 0]
        is_loop = (
            main.age > ESTABLISHED_SECONDS
            and max(child.age for child in children) < YOUNG_SECONDS
            and snapshot.says.get("finished") == 0
            and not snapshot.says.get("busy")
        )
        detail = (
            f"none of its pool processes is older than {YOUNG_SECONDS:g} s, although it has run for "
            f"{main.age / 60:.0f} min and has not finished a task: each exits or is killed as it starts"
        )
        hint = f"procman logs {snapshot.program.name}; if they need longer to start: worker_proc_alive_timeout"
        bad, good = (Level.CRITICAL, detail, hint), (Level.OK, "", "")
        yield Result("PM105", snapshot.program.name, *(bad if is_loop else good))


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
    return [process for process in running.tree(snapshot) if process.parent == pid and not process.is_zombie]
