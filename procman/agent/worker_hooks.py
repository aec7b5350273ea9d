"""Observe a Celery worker through its signals and bootsteps: Celery 4.4 to 5.7."""

import importlib
import logging
import os
import sys
from time import monotonic, time
from typing import Any, Callable, Collection, List, NamedTuple, Optional, Tuple

from . import (
    active_requests,
    graceful_stop,
    heartbeat_format,
    pool_ends,
    pool_processes,
    run_files,
    slots,
    task_marks,
    verdict,
)
from .active_requests import members
from .broker_digest import brokers_of
from .broker_record import BROKER_FILE, BROKER_FILE_MODE, record_of
from .handback import Handback
from .routed_queues import routed_queues
from .task_recorder import TaskRecorder
from .worker_state import ActiveTask, Measured, WorkerState, described, printable

POOLS = {
    "celery.concurrency.prefork": "prefork",
    "celery.concurrency.solo": "solo",
    "celery.concurrency.thread": "threads",
    "celery.concurrency.gevent": "gevent",
    "celery.concurrency.eventlet": "eventlet",
}

LEAST_SECONDS_OF_CALLS = 5
"""With a shorter `stale_seconds` a loop whose calls take slightly more than two seconds proves too little."""


def connect(
    observed: WorkerState,
    recorder: TaskRecorder,
    handback: Handback,
    loop_seconds: float,
    start_asking: Callable[[Any], None],
) -> None:
    """Keep `observed` and `recorder` up to date with the worker that this process will become.

    Its event loop is stamped every `loop_seconds`; `start_asking` is called with its consumer once it consumes.
    """
    signals = importlib.import_module("celery.signals")

    def on_init(sender: Any = None, **_: Any) -> None:
        observed.enter(verdict.STARTING)
        handback.follow(sender)
        try:
            _add_steps(sender, observed, recorder, loop_seconds, start_asking)
            guarded(observed, "task marks", lambda: _mark_tasks(sender, recorder))
            guarded(observed, "graceful stop", lambda: graceful_stop.follow(sender, observed, handback))
            observed.await_ready()
        except Exception as error:
            observed.missing["worker"] = described(error)
            observed.come_up()

    # Signals keep weak references by default, which would be gone at the end of this function.
    signals.worker_init.connect(on_init, weak=False)
    signals.worker_ready.connect(lambda **_: observed.become_ready(), weak=False)
    signals.worker_shutting_down.connect(lambda sig="", **_: _stop_on(observed, sig), weak=False)
    guarded(observed, "connection errors", lambda: _note_connection_errors(observed))
    for name in ("task_revoked", "task_rejected", "task_unknown"):
        getattr(signals, name).connect(observed.move, weak=False)


def _stop_on(observed: WorkerState, sig: str) -> None:
    directory = observed.settings.run_directory
    if slots.is_to_drain(directory):
        # A keeper's: a second SIGTERM, without the mark, sets a limit.
        observed.drains_while = lambda: slots.is_to_drain(directory)
        observed.enter(verdict.DRAINING)
    else:
        observed.enter(_phase_after(sig))


def _phase_after(sig: str) -> str:
    # Process managers send SIGTERM, and then SIGKILL. SIGINT is a person's.
    return verdict.DRAINING if sig == "SIGINT" else verdict.STOPPING


def _note_connection_errors(observed: WorkerState) -> None:
    """Note why the worker cannot connect. Celery reports it only to its log, with the error as an argument."""

    def note(record: Any) -> bool:
        errors = [each for each in record.args or () if isinstance(each, Exception)]
        if errors and "Cannot connect" in str(record.msg) and observed.is_own_process():
            observed.connect_error = described(errors[0])
        return True

    logging.getLogger("celery.worker.consumer.consumer").addFilter(note)


def _add_steps(
    worker: Any,
    observed: WorkerState,
    recorder: TaskRecorder,
    loop_seconds: float,
    start_asking: Callable[[Any], None],
) -> None:
    bootsteps = importlib.import_module("celery.bootsteps")

    # Celery instantiates bootsteps from classes. None of their methods may raise: the worker would exit.

    class ProcmanWorker(bootsteps.StartStopStep):  # type: ignore[name-defined, misc]
        """Notice that the pool has started and the worker is about to connect."""

        requires = ("celery.worker.components:Pool",)

        def start(self, parent: Any) -> None:
            guarded(observed, "worker", lambda: _describe(parent, observed, recorder))
            guarded(observed, "running tasks", lambda: _record_tasks(observed, recorder))
            guarded(observed, "pool processes that end", lambda: pool_ends.follow(parent.pool, observed, recorder))
            _record_broker(parent.app, observed.settings.run_directory)
            observed.come_up()

        def stop(self, _: Any) -> None:
            observed.end()

        terminate = stop

    class ProcmanConsumer(bootsteps.StartStopStep):  # type: ignore[name-defined, misc]
        """Notice whether the worker consumes. Requiring Timer would break the reconnection (Celery issue 3955)."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:
            guarded(observed, "event loop", lambda: _stamp_the_loop(parent, observed, loop_seconds))
            observed.connect_error = None
            observed.enter(verdict.CONSUMING)
            guarded(observed, "limits", lambda: _note_limits(parent, observed))
            guarded(observed, "broker", lambda: _note_broker(parent, observed, recorder))
            guarded(observed, "queues", lambda: start_asking(parent))

        def stop(self, parent: Any) -> None:
            if parent.blueprint.state == bootsteps.RUN:
                observed.enter(verdict.DISCONNECTED)
            else:
                observed.end()

        terminate = stop

    worker.app.steps["worker"].add(ProcmanWorker)
    worker.app.steps["consumer"].add(ProcmanConsumer)


def guarded(observed: WorkerState, what: str, act: Callable[[], None]) -> None:
    """Call `act`; if it fails, only record `what` as missing."""
    try:
        act()
    except Exception as error:
        observed.missing[what] = described(error)
    else:
        observed.missing.pop(what, None)


def _describe(worker: Any, observed: WorkerState, recorder: TaskRecorder) -> None:
    observed.node_name = printable(worker.hostname)
    observed.brokers = brokers_of(lambda: worker.app.connection_for_read())
    module = type(worker.pool).__module__
    observed.pool = POOLS.get(module, printable(module.rpartition(".")[2]))
    observed.measure = lambda: measured(worker, recorder.since)


def _record_tasks(observed: WorkerState, recorder: TaskRecorder) -> None:
    recorder.has_pool_processes = observed.pool == "prefork"
    observed.longest_tasks = recorder.longest_tasks
    active_requests.follow(sys.modules["celery.worker.state"], recorder)
    active_requests.follow_acknowledgements(sys.modules["kombu.message"].Message)


def _mark_tasks(worker: Any, recorder: TaskRecorder) -> None:
    # It is still the name that was given.
    pool = importlib.import_module("celery.concurrency").get_implementation(worker.pool_cls)
    task_marks.follow(task_marks.TaskMarks(lambda: recorder.file), worker.app, POOLS.get(pool.__module__))


def _record_broker(app: Any, directory: str) -> None:
    path = os.path.join(directory, BROKER_FILE)
    try:
        record = record_of(app, _routed(app))
        if record is None:
            os.unlink(path)
        else:
            run_files.replace(path, record, BROKER_FILE_MODE)
    except Exception:  # noqa: S110  # then the queues cannot be looked at while the worker is stopped
        pass


def _routed(app: Any) -> Collection[str]:
    try:
        return routed_queues(app)
    except Exception:  # the routes are the app's own objects
        return ()


def _note_limits(consumer: Any, observed: WorkerState) -> None:
    observed.visibility_seconds = _number(getattr(consumer.task_consumer.channel, "visibility_timeout", None))
    observed.time_limit = _number(getattr(consumer.controller, "time_limit", None))


def _note_broker(consumer: Any, observed: WorkerState, recorder: TaskRecorder) -> None:
    recorder.note_broker(consumer.connection.transport.driver_type, observed.visibility_seconds)


def _number(value: Any) -> Optional[float]:
    return float(value) if isinstance(value, (int, float)) and 0 < value < heartbeat_format.MOST else None


# The event loop ------------------------------------------------------------------------------------------------------


def _stamp_the_loop(consumer: Any, observed: WorkerState, seconds: float) -> None:
    """Stamp every round of the main loop, from now until the connection is lost and Celery clears its timers.

    With an event loop, and in a green pool, a timer stamps it. Elsewhere Celery's timer is a separate thread, which
    proves nothing: there the loop makes calls that take about two seconds each while there is nothing to do.
    """
    observed.turn()
    if consumer.hub is not None or getattr(consumer.pool, "is_green", False):
        before = vars(consumer).pop("procman_timer", None)
        if before is not None:
            consumer.timer.cancel(before)
        consumer.procman_timer = consumer.timer.call_repeatedly(seconds, observed.turn)
    elif observed.pool == "prefork" or observed.settings.stale_seconds < LEAST_SECONDS_OF_CALLS:
        # This loop hands each task to the pool in a call that blocks while all slots are busy.
        observed.loop = None
    elif "procman_is_stamped" not in vars(consumer):
        perform = consumer.perform_pending_operations

        def stamp_and_perform() -> Any:
            observed.turn()
            return perform()

        consumer.perform_pending_operations = stamp_and_perform
        consumer.procman_is_stamped = True


# Slots and tasks -----------------------------------------------------------------------------------------------------


def measured(worker: Any, recorded_since: Callable[[Any], Optional[float]]) -> Measured:
    """Count the tasks of `worker`; runs in another thread, and so copies each collection in one step."""
    state = sys.modules["celery.worker.state"]
    accepted = state.all_total_count[0]
    active = members(state.active_requests)
    reserved = members(state.reserved_requests)
    busy = _busy(worker.pool, active)
    waiting = sum(1 for request in reserved if request not in active)
    scheduled = _scheduled(worker.consumer)
    return Measured(
        slots=_slots(worker.pool),
        busy=busy,
        reserved=waiting,
        finished=max(0, accepted - busy),
        received=(accepted, busy, tuple(sorted(map(id, reserved)))),
        scheduled=scheduled.all,
        excused=_is_excused(worker.consumer, scheduled, len(reserved)),
        tasks=_tasks(active, recorded_since),
        pool=pool_processes.observe(worker.pool),
    )


def _slots(pool: Any) -> int:
    return int(pool.num_processes if type(pool).__module__ == "celery.concurrency.prefork" else pool.limit)


def _busy(pool: Any, active: List[Any]) -> int:
    """Count the running tasks. After a reconnection Celery's list keeps some that have ended; billiard's does not."""
    jobs = getattr(getattr(pool, "_pool", None), "_cache", None)
    if isinstance(jobs, dict):
        return sum(1 for job in list(jobs.values()) if job.accepted() and not job.ready())
    return len(active)


class Scheduled(NamedTuple):
    """The messages that a worker holds and may not start yet."""

    eta: int
    limited: int
    """Those of tasks with a rate limit."""

    @property
    def all(self) -> int:
        """Their number."""
        return self.eta + self.limited


def _scheduled(consumer: Any) -> Scheduled:
    limited = sum(len(bucket.contents) for bucket in list(consumer.task_buckets.values()) if bucket)
    return Scheduled(sum(1 for each in list(consumer.timer.schedule.queue) if _is_of_a_task(each)), limited)


def _is_excused(consumer: Any, scheduled: Scheduled, reserved: int) -> bool:
    """Return whether tasks that wait for their ETA or a rate limit fill everything that the worker may hold."""
    capacity = consumer.qos.value if getattr(consumer, "qos_global", None) is not False else None
    capacity = consumer.initial_prefetch_count if capacity is None else capacity
    most = consumer.app.conf.worker_eta_task_limit if "worker_eta_task_limit" in consumer.app.conf else None
    if most and scheduled.eta >= most:
        return True
    return bool(capacity) and scheduled.all > 0 and scheduled.all + reserved >= capacity


def _is_of_a_task(waiting: Any) -> bool:
    try:
        return hasattr(waiting.entry.args[0], "task_id")
    except (AttributeError, IndexError, TypeError):
        return False


def _tasks(
    active: List[Any], recorded_since: Callable[[Any], Optional[float]] = lambda _: None
) -> Tuple[ActiveTask, ...]:
    return tuple(
        ActiveTask(each.id, each.name, recorded_since(each) or _since(each))
        for each in active[: heartbeat_format.MAX_TASKS]
    )


def _since(request: Any) -> Optional[float]:
    # Celery has the wall-clock time, and that clock may be set while the task runs: convert it once, at first sight.
    if not hasattr(request, "procman_since"):
        started = getattr(request, "time_start", None)
        if not isinstance(started, float):
            return None
        request.procman_since = monotonic() - (time() - started)
    return float(request.procman_since)
