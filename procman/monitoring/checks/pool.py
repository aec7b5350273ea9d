"""PM104 to PM106: the processes below a worker's main process."""

from __future__ import annotations

from collections.abc import Iterator

from procman.agent.verdict import CONSUMING
from procman.host.process_table import Process
from procman.model import Kind, Level, Result
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

WITHOUT_CHILDREN = ("solo", "threads", "gevent", "eventlet")

YOUNG_SECONDS = 10.0
"""Older than Celery lets a new pool process become before it kills one that does not answer (worker_proc_alive_timeout,
4 s unless set)."""

ESTABLISHED_SECONDS = 60.0
"""After this time an idle worker's pool processes are no longer new."""

FEWEST_ZOMBIES = 5


def check_children(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether each worker with a pool of processes has them all (PM104)."""
    for snapshot in running.up:
        if snapshot.program.kind is Kind.WORKER and running.tree(snapshot):
            yield of_children(snapshot, _children(running, snapshot))


def of_children(snapshot: ProgramSnapshot, children: list[Process]) -> Result:
    """Return PM104 for a worker with the pool processes CHILDREN."""
    program = snapshot.program
    if lacks_pool(snapshot, len(children)):
        return no_pool(snapshot)
    slots = snapshot.says.get("slots") or program.concurrency
    values = {"pool_processes": float(len(children))}
    if _pool(snapshot) != "prefork" or not slots or len(children) >= slots or snapshot.says.get("phase") != CONSUMING:
        return Result("PM104", program.name, Level.OK, "", "", values)
    # One that has done its share of tasks is being replaced, or the pool is just growing.
    is_changing = any(child.age < YOUNG_SECONDS for child in children)
    detail = f"{len(children)} of its {slots} pool processes"
    hint = "" if is_changing else f"procman logs {program.name}"
    return Result("PM104", program.name, Level.OK if is_changing else Level.WARNING, detail, hint, values)


def lacks_pool(snapshot: ProgramSnapshot, children: int) -> bool:
    """Say whether there is no pool process where there should be one by now."""
    if snapshot.program.kind is not Kind.WORKER or children or _pool(snapshot) in WITHOUT_CHILDREN:
        return False
    # While it starts there is none yet, and its heartbeat says so.
    return not snapshot.says or snapshot.says["phase"] == CONSUMING


def no_pool(snapshot: ProgramSnapshot) -> Result:
    """Return PM104 for a worker without any pool process."""
    program = snapshot.program
    level = Level.WARNING if _pool(snapshot) is None else Level.CRITICAL
    hint = f"procman logs {program.name}"
    if _pool(snapshot) is None:
        hint += f'; if the app uses another pool, write pool = "solo" (or threads ...) in [{program.key}]'
    detail = "no pool process: it is importing, waiting for the broker, or stuck"
    return Result("PM104", program.name, level, detail, hint, {"pool_processes": 0.0})


def check_kill_loop(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether pool processes live long enough to do anything (PM105).

    Celery kills a new one that does not answer in time, for ever; the worker answers a ping all the same.
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
            f"{main.age / 60:.0f} min and has not finished a single task: they end as soon as they start"
        )
        hint = f"procman logs {snapshot.program.name}; a pool process that needs longer: worker_proc_alive_timeout"
        bad, good = (Level.CRITICAL, detail, hint), (Level.OK, "", "")
        yield Result("PM105", snapshot.program.name, *(bad if is_loop else good))


def check_zombies(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield how many processes of each program have ended without being cleared away (PM106)."""
    for snapshot in running.up:
        zombies = sum(process.is_zombie for process in running.tree(snapshot))
        most = max(FEWEST_ZOMBIES, snapshot.says.get("slots") or snapshot.program.concurrency or 0)
        detail = f"{zombies} of its processes have ended and are not cleared away" if zombies else ""
        is_bad = zombies > most
        hint = f"procman restart {snapshot.program.name}" if is_bad else ""
        level = Level.WARNING if is_bad else Level.OK
        yield Result("PM106", snapshot.program.name, level, detail, hint, {"zombies": float(zombies)})


def _pool(snapshot: ProgramSnapshot) -> str | None:
    return snapshot.says.get("pool") or snapshot.program.pool


def _children(running: ProjectSnapshot, snapshot: ProgramSnapshot) -> list[Process]:
    pid = snapshot.state.pid
    return [process for process in running.tree(snapshot) if process.parent == pid and not process.is_zombie]
