"""End the pool processes whose task has not been acknowledged, so that its message can be returned: billiard 3.6 to 4.

Nothing here reaps a process: billiard does, and would otherwise miss its end. A task is ended only if it has not
reported its end: its process is stopped first and what it has sent is read, before it is killed.
"""

import os
import select
import signal
from time import monotonic, sleep
from typing import Any, Callable, Dict, List, NamedTuple

STOP_SECONDS = 1.0
"""How long processes may take to stop, and how long their last messages are read."""
END_SECONDS = 3.0
"""How long killed processes may take to end. One that waits for a dead disk takes longer."""
PAUSE_SECONDS = 0.01


class Run(NamedTuple):
    """A job of the pool that its process runs or is about to run."""

    job: Any
    request: Any
    process: Any

    @property
    def is_open(self) -> bool:
        """Whether its message must return if its process ends now."""
        return not (self.job.ready() or self.request.acknowledged)


def end(billiard: Any, read_results: Callable[[], None]) -> List[Any]:
    """End the processes of unacknowledged tasks; return the requests of those that have certainly ended.

    `read_results` lets billiard read what its processes have sent.
    """
    runs = open_runs(billiard)
    ended: List[Run] = []
    try:
        _stop(runs)
        deadline = monotonic() + STOP_SECONDS
        while any(_has_sent(run.process) for run in runs) and monotonic() < deadline:
            read_results()
        ended = [run for run in runs if run.is_open]
    finally:
        # Also if the connection breaks meanwhile: Celery would wait for a stopped process.
        for run in runs:
            if run not in ended:
                _send(run.process, signal.SIGCONT)
    return [run.request for run in kill(billiard, ended)]


def kill(billiard: Any, runs: List[Run]) -> List[Run]:
    """Kill the processes of `runs` without any trace of a failure in Celery; return those that have ended."""
    for run in runs:
        # Celery would store a failure for a lost task that is still known here, and acknowledge its message.
        run.job.discard()
    for process in {run.process.pid: run.process for run in runs}.values():
        process._controlled_termination = True
        # Otherwise billiard would replace it.
        billiard._processes -= 1
        _send(process, signal.SIGKILL)
    deadline = monotonic() + END_SECONDS
    while not all(_has_ended(run.process.pid) for run in runs) and monotonic() < deadline:
        sleep(PAUSE_SECONDS)
    return [run for run in runs if _has_ended(run.process.pid)]


def open_runs(billiard: Any) -> List[Run]:
    """Return the runs whose messages have not been acknowledged, of processes that have no other task to lose."""
    runs = _runs(billiard)
    others = {run.process.pid for run in runs if run.request.acknowledged and not run.job.ready()}
    return [run for run in runs if run.is_open and run.process.pid not in others]


def runs_to_end(billiard: Any) -> List[Run]:
    """Return what has to end before every message is returned: the runs of each process that has an open one.

    With `-O default` of Celery 4.4, tasks wait in the pipe of a process behind its running one.
    """
    runs = _runs(billiard)
    doomed = {run.process.pid for run in runs if run.is_open}
    return [run for run in runs if run.process.pid in doomed and not run.job.ready()]


def _runs(billiard: Any) -> List[Run]:
    processes = {process.pid: process for process in list(billiard._pool)}
    return [run for run in (_run_of(job, processes) for job in list(billiard._cache.values())) if run]


def _run_of(job: Any, processes: Dict[int, Any]) -> Any:
    request = getattr(getattr(job, "_accept_callback", None), "__self__", None)
    sent_to = job._write_to or job._scheduled_for
    # None if the process has died before: Celery's own settings decide about a lost task.
    pid: Any = job._worker_pid if job._accepted else getattr(sent_to, "pid", None)
    process = processes.get(pid)
    return Run(job, request, process) if process is not None and hasattr(request, "acknowledged") else None


def _stop(runs: List[Run]) -> None:
    for run in runs:
        _send(run.process, signal.SIGSTOP)
    deadline = monotonic() + STOP_SECONDS
    while not all(_is_stopped(run.process.pid) for run in runs) and monotonic() < deadline:
        sleep(PAUSE_SECONDS)


def _send(process: Any, number: int) -> None:
    try:
        os.kill(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # it has ended, or a task has changed its user


def _is_stopped(pid: int) -> bool:
    """Return whether a child has stopped or ended; it is not reaped."""
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:
        return True


def _has_ended(pid: int) -> bool:
    """Return whether a child has ended with all its threads; it is not reaped."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:
        return True


def _has_sent(process: Any) -> bool:
    """Return whether messages of a process can be read; a pool with an event loop has a pipe for each."""
    try:
        poll = select.poll()
        poll.register(process.outq._reader.fileno(), select.POLLIN)
        return any(event & select.POLLIN for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return False
