"""Observe the processes of a prefork pool through billiard's own lists: Celery 4.4 to 5.7."""

import os
from typing import Any, NamedTuple, Optional

FIRST_START_SECONDS = 900.0
"""How long the start of a pool's first processes may take, at least: Celery kills only those that replace others."""

MARGIN_SECONDS = 10.0
"""How much later than after `worker_proc_alive_timeout` Celery may have replaced a process that did not start."""


class PoolProcesses(NamedTuple):
    """The pool processes at one moment."""

    alive: int
    starting: Optional[int] = None
    """How many of them have not reported yet that they can run tasks; None if this pool does not record it."""
    start_seconds: Optional[float] = None
    """How long such a start may take before the pool counts as stuck."""


def observe(pool: Any) -> Optional[PoolProcesses]:
    """Return the processes of a worker's pool, or None if it has none; runs in another thread than the pool."""
    billiard = getattr(pool, "_pool", None)
    listed = getattr(billiard, "_pool", None)
    if not isinstance(listed, list):
        return None
    alive = [process for process in list(listed) if _is_alive(process)]
    # Only the pool of an event loop learns when a process is ready. It then writes to its pipe, by descriptor.
    ready = getattr(billiard, "_fileno_to_inq", None)
    if ready is None:
        return PoolProcesses(len(alive))
    starting = [process for process in alive if ready.get(process.inqW_fd) is not process]
    return PoolProcesses(len(alive), len(starting), _start_seconds(billiard, starting))


def ready_count(processes: PoolProcesses) -> int:
    """Return how many processes can run tasks, as far as known."""
    return processes.alive - (processes.starting or 0)


def usable_slots(processes: Optional[PoolProcesses], slots: int, unready_since: Optional[float], now: float) -> int:
    """Return how many of the slots have a process that can run tasks.

    If none has, because processes are starting or being replaced, all count once that takes too long. In a pool that
    does not record it, a process that exits as soon as it starts would look ready: there all count at once.
    """
    if processes is None or processes.starting is None:
        return slots
    ready = ready_count(processes)
    limit = processes.start_seconds or 0.0
    if not ready and unready_since is not None and now - unready_since > limit:
        return slots
    return min(slots, ready)


def _is_alive(process: Any) -> bool:
    """Return whether a child runs. billiard's own method would take its exit status away from the main thread."""
    try:
        return process.pid is None or os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def _start_seconds(billiard: Any, starting: Any) -> float:
    limit = float(billiard._proc_alive_timeout) + MARGIN_SECONDS
    watched = billiard._waiting_to_start
    return limit if all(process in watched for process in starting) else max(limit, FIRST_START_SECONDS)
