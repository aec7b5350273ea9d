"""Note which pool processes were killed or exited by themselves, and the task each was running: Celery 4.4 to 5.7.

Only billiard learns how a process ended, in the main thread, and only its log shows it.
"""

import signal
from time import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import lost_in_pool, memory_events
from .process_end import EXIT_STATUS, killed_by
from .settings import report
from .task_record import RunningTask
from .task_recorder import TaskRecorder
from .worker_state import WorkerState, described, printable

KEPT = 5

MOST_LIMITED = 100

EXPECTED = (0, 155)
"""The exit statuses of a process that billiard ended, or that has reached its limit (EX_RECYCLE)."""


def follow(pool: Any, observed: WorkerState, recorder: TaskRecorder) -> None:
    """Keep `observed.pool_ends` up to date with the processes of a prefork `pool`."""
    billiard: Any = getattr(pool, "_pool", None)
    if not isinstance(getattr(billiard, "_pool", None), list):
        return
    limited = _follow_time_limits(billiard, observed)
    kernel = memory_events.Kills()
    observed.memory_kills = kernel
    join = billiard._join_exited_workers

    def join_and_note(*arguments: Any, **more: Any) -> Any:
        before = _guarded(observed, lambda: _Before(billiard, recorder))
        try:
            return join(*arguments, **more)
        finally:
            if before is not None:
                _guarded(observed, lambda: _note(before, limited, observed, kernel))

    billiard._join_exited_workers = join_and_note
    program = observed.settings.program
    lost_in_pool.follow(billiard, observed, recorder, lambda message: report(program, message))


def _follow_time_limits(billiard: Any, observed: WorkerState) -> List[int]:
    """Return the list of the processes that billiard kills because their task exceeds its time limit."""
    limited: List[int] = []
    handler: Any = getattr(billiard, "_timeout_handler", None)
    kill = getattr(handler, "_trywaitkill", None)
    if kill is not None:

        def note_and_kill(process: Any) -> Any:
            # The task of a process that has ended already exceeds its time limit as well.
            if _guarded(observed, lambda: process.exitcode) is None:
                limited.append(process.pid)
                del limited[:-MOST_LIMITED]
            return kill(process)

        handler._trywaitkill = note_and_kill
    return limited


class _Before:
    """What a pool ran before billiard reaped the processes that had ended."""

    def __init__(self, billiard: Any, recorder: TaskRecorder) -> None:
        self._billiard = billiard
        # Only a pool with an event loop knows which processes are starting.
        starting = getattr(billiard, "_waiting_to_start", ())
        self.processes = [(process, process in starting) for process in billiard._pool]
        # billiard reports the task of a process that ended as failed, which clears it.
        self.tasks = {task.pool_pid: task for task in recorder.running()}

    def gone(self) -> List[Tuple[Any, bool]]:
        """Return the processes that it has reaped since, and whether each was still starting."""
        return [each for each in self.processes if each[0] not in self._billiard._pool]


def _guarded(observed: WorkerState, act: Callable[[], Any]) -> Any:
    """Return what `act` returns; if it fails, only record that: billiard calls this."""
    try:
        return act()
    except Exception as error:
        observed.missing["pool processes that end"] = described(error)
        return None


def _note(before: _Before, limited: List[int], observed: WorkerState, kernel: memory_events.Kills) -> None:
    if observed.is_stopping or not observed.is_own_process():
        return
    for process, was_starting in before.gone():
        status = process.exitcode
        # Celery kills a process that takes too long to start.
        is_killed_by_celery = process.pid in limited or (was_starting and status == -signal.SIGKILL)
        if status in (None, *EXPECTED) or process._controlled_termination or is_killed_by_celery:
            continue
        end = _described(process.pid, status, before.tasks.get(process.pid))
        end["for_memory"] = status == -signal.SIGKILL and kernel.has_risen()
        observed.pool_ends = [*observed.pool_ends, end][-KEPT:]


def _described(pid: int, status: int, task: Optional[RunningTask]) -> Dict[str, Any]:
    return {
        "pid": pid,
        "at": time(),
        "how": EXIT_STATUS + str(status) if status > 0 else killed_by(-status),
        "task": printable(task.name) if task else None,
        "task_id": printable(task.id) if task else None,
    }
