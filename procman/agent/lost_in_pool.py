"""Record the task of a pool process that died as an event, with what becomes of it: Celery 4.4 to 5.7.

Celery handles the death itself, which clears the task from the record of running tasks.
"""

from typing import Any, Callable

from . import own_events
from .task_record import FINISHED, WAITING, RunningTask
from .task_recorder import TaskRecorder
from .worker_state import WorkerState, described, printable

WHAT = "lost"


def follow(billiard: Any, observed: WorkerState, recorder: TaskRecorder, report: Callable[[str], None]) -> None:
    """Record each task that the pool `billiard` gives up as lost."""
    mark_as_lost, notice = billiard.mark_as_worker_lost, billiard.on_job_process_lost

    def note_and_notice(job: Any, pid: Any, exitcode: Any) -> Any:
        # Without an event loop Celery waits ten seconds for a result, and the next process has the mark by then.
        try:
            job.procman_lost = recorder.of_pool_process(pid)
        except Exception as error:
            observed.missing["lost tasks"] = described(error)
        return notice(job, pid, exitcode)

    def mark_and_record(job: Any, exitcode: Any, *arguments: Any, **more: Any) -> Any:
        found = getattr(job, "procman_lost", ())
        try:
            return mark_as_lost(job, exitcode, *arguments, **more)
        finally:
            for request, task in found:
                _record(request, task, exitcode, observed, report)

    billiard.mark_as_worker_lost, billiard.on_job_process_lost = mark_and_record, note_and_notice


def _record(
    request: Any, task: RunningTask, exitcode: Any, observed: WorkerState, report: Callable[[str], None]
) -> None:
    try:
        outcome = outcome_of(request, task)
        own_events.record(
            observed.settings,
            report,
            WHAT,
            reason="pool process %s ended with %s" % (task.pool_pid, printable(exitcode)),
            action=outcome,
            tasks=[printable(task.name)],
            task_ids=[printable(task.id)],
            more={"started": task.started_wall, "acknowledged": "late" if task.acks_late else "early"},
        )
    except Exception as error:
        observed.missing["lost tasks"] = described(error)


def outcome_of(request: Any, task: RunningTask) -> str:
    """Return what Celery has made of a task whose pool process died."""
    # Celery 5.7 looks at the stored result first.
    if task.progress == FINISHED and hasattr(request, "_success_was_stored"):
        return "may have finished"
    is_exhausted = task.is_sent_again_if_lost and _has_no_retry_left(request)
    if task.is_sent_again_if_lost and not is_exhausted:
        return "sent again"
    if task.acks_late and task.is_rejected_if_lost and not is_exhausted:
        return "redelivered"
    if task.progress in ("", FINISHED):
        return "may have finished"
    return "had not begun" if task.progress == WAITING else "gone"


def _has_no_retry_left(request: Any) -> bool:
    most = request.task.max_retries
    return most is not None and request._context.retries >= most
