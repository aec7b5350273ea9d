"""Hand back what a stopping worker cannot finish before the process manager kills it: Celery 4.4 to 5.7.

A task that is acknowledged late is ended first, and only then its message returned, so that it never runs in two places
at once. A task that was acknowledged when it started runs on until SIGKILL.
"""

import _thread
import os
import sys
from time import monotonic, sleep
from typing import Any, Callable, Dict, Iterable, List, Optional

from . import broker_record, handback_broker, handback_events, handback_pool, own_events, verdict
from .active_requests import members
from .handback_broker import REDIS
from .handback_events import Running
from .reserved_messages import give_back
from .settings import HealthSettings, handback_delay
from .task_recorder import TaskRecorder
from .worker_state import WorkerState, described

PATIENCE = 1.0
"""How long after the handback is due the main thread may begin it, at most a quarter of the time that is left then."""
SETTLE_SECONDS = 0.05
"""How long another thread has to acknowledge a task that it has just taken from Celery's list of running ones."""
LEAST_SECONDS = 1.0
WAIT_SECONDS = 15.0


class Handback:
    """The last step of a stop before the process manager kills the worker."""

    def __init__(
        self, settings: HealthSettings, observed: WorkerState, recorder: TaskRecorder, report: Callable[[str], None]
    ) -> None:
        self._settings, self._observed, self._recorder, self._report = settings, observed, recorder, report
        self._worker: Any = None
        self.delay = handback_delay(settings)
        """How many seconds after the stop began it is due; None: never."""
        self._begins, self._is_done, self._is_current = _thread.allocate_lock(), False, False

    @property
    def has_begun(self) -> bool:
        """Whether one thread has begun; it never begins again."""
        return self._begins.locked()

    def follow(self, worker: Any) -> None:
        """Note the worker whose messages `look` hands back."""
        self._worker = worker

    # When ------------------------------------------------------------------------------------------------------------

    def seconds_left(self) -> Optional[float]:
        """Return in how many seconds it is due; None if no SIGKILL will end a stop, or if it never is."""
        if self.delay is None or self._observed.phase != verdict.STOPPING:
            return None
        return self.delay - (monotonic() - self._observed.phase_since)

    def is_due(self) -> bool:
        """Return whether the stop timeout is about to end."""
        left = self.seconds_left()
        return left is not None and left <= 0

    def next_look(self) -> float:
        """Return in how many seconds `look` may have something to do, at most."""
        left = None if self.has_begun else self.seconds_left()
        # A stop that begins wakes the writer thread.
        return 1e7 if left is None else max(0.1, left + self._patience)

    @property
    def _patience(self) -> float:
        return min(PATIENCE, self._settings.handback_seconds / 4)

    def look(self) -> None:
        """Hand back from outside if that is overdue and the main thread has not begun; the writer thread calls it."""
        if self._observed.phase == verdict.STOPPING and not self._is_current:
            # An install may have raised the stop timeout since the start.
            self._is_current, self.delay = True, handback_delay(self._settings)
        left = self.seconds_left()
        if left is not None and left <= -self._patience and handback_broker.is_known(self._worker):
            self._do_once(self._from_outside)

    def from_main_thread(self, worker: Any) -> None:
        """Hand back the messages of the running tasks; the main thread calls it between two rounds of the loop."""
        self._worker = worker
        self._do_once(self._in_turn)

    def wait(self) -> None:
        """Wait until the other thread has finished what it has begun: the exit of Celery would interfere."""
        deadline = monotonic() + WAIT_SECONDS
        while self.has_begun and not self._is_done and monotonic() < deadline:
            sleep(0.02)

    def _do_once(self, act: Callable[[], None]) -> None:
        if not self._begins.acquire(False):
            return
        try:
            act()
        except Exception as error:
            self._observed.missing["handback"] = described(error)
            self._report(f"cannot hand back its messages ({described(error)})")
        finally:
            self._is_done = True

    # How -------------------------------------------------------------------------------------------------------------

    def _require_record(self) -> None:
        """Raise LookupError if the script could not connect to Redis: nothing may be ended for messages that stay.

        A connection whose options are objects, such as a TLS context, has no record.
        """
        path = os.path.join(self._settings.run_directory, broker_record.BROKER_FILE)
        if handback_broker.is_redis(self._worker) and broker_record.read_record(path) is None:
            raise LookupError(broker_record.BROKER_FILE)

    def _in_turn(self) -> None:
        pool = self._worker.pool
        if self._observed.pool != "prefork":
            running = _running()
            if running.late:
                self._end_process(running)
            self._record(running)
            return
        ended = handback_pool.end(pool._pool, _reader(self._worker.consumer.hub))
        problems = [(request, self._return(request)) for request in ended]
        self._record(Running([request for request, why in problems if not why], _running().early))
        for request, why in problems:
            self._record_failure([request] if why else [], why)

    def _return(self, request: Any) -> str:
        """Return the message of a task that was ended; return why that failed, or an empty text."""
        try:
            give_back(request.message)
            return ""
        except Exception as error:
            return described(error)
        finally:
            _settle(request)

    def _from_outside(self) -> None:
        """Hand back while the main thread is at work or stuck, without its help."""
        _refuse_to_start()
        if self._observed.pool == "prefork":
            self._from_outside_with_processes()
            return
        running = _running()
        if running.late:
            self._end_process(running)
        else:
            self._record(running, self._return_all())

    def _from_outside_with_processes(self) -> None:
        billiard = self._worker.pool._pool
        buffer = getattr(billiard, "outbound_buffer", None)
        if buffer is None:
            return  # one pipe for all: it is unknown what a process will take from it
        self._require_record()
        _clear_waiting(self._worker, billiard, buffer)
        ended = handback_pool.kill(billiard, handback_pool.runs_to_end(billiard))
        cut = [run.request for run in ended if run.request.acknowledged]
        late = [run.request for run in ended if run.job._accepted and not run.request.acknowledged]
        # They have been ended, whatever becomes of their messages.
        self._write(handback_events.before_return(late))
        self._record(Running([], cut), is_last=True)
        self._record(Running([], [each for each in _running().early if each not in cut]))
        try:
            returned = self._return_all() - len(late)
        except Exception as error:
            self._record_failure(late, described(error))
            raise
        self._record(Running(late, []), returned)

    def _return_all(self) -> int:
        """Return every unacknowledged message, none of which runs here any more; return their number."""
        consumer = self._worker.consumer
        channel = consumer.task_consumer.channel
        sleep(SETTLE_SECONDS)
        requests = _unsettled()
        kind = handback_broker.kind_of(channel)
        pending = handback_broker.pending_acknowledgements(consumer)
        if kind == handback_broker.RABBITMQ:
            handback_broker.acknowledge(pending)
            handback_broker.disconnect(consumer.connection)
            returned = len(requests)
        elif kind == REDIS:
            returned = self._return_from_redis(channel, pending)
        else:
            return 0
        for request in requests:
            _settle(request)
        return returned

    def _return_from_redis(self, channel: Any, pending: List[Any]) -> int:
        order = self._order(channel, pending, Running([], []))
        held = order["tags"] + order["acknowledged"]
        if held and not handback_broker.run_script(order):
            raise ConnectionError
        handback_broker.forget(channel, held)
        handback_broker.note(pending)
        return len(order["tags"])

    def _end_process(self, running: Running) -> None:
        """End this process, and with it all running tasks, so that the messages can be returned."""
        self._require_record()
        channel = self._worker.consumer.task_consumer.channel
        kind = handback_broker.kind_of(channel)
        sleep(SETTLE_SECONDS)
        pending = handback_broker.pending_acknowledgements(self._worker.consumer)
        if kind == handback_broker.RABBITMQ:
            handback_broker.acknowledge(pending)
            for request in running.late:
                _settle(request)
            self._record(running, is_last=True)
            # It has exited once all its threads have ended, and only then its sockets are closed.
            os._exit(0)
        if kind == REDIS:
            handback_broker.note(pending)
            handback_broker.become_script(self._order(channel, pending, running))

    def _order(self, channel: Any, pending: List[Any], ending: Running) -> Dict[str, Any]:
        """Return the order for the script; `ending` are the tasks that end with this process."""
        acknowledged = [message.delivery_tag for message in pending]
        left = min(self._settings.handback_seconds, self.delay or 0) + (self.seconds_left() or 0)
        tags = [tag for tag in handback_broker.held_tags(channel) if tag not in acknowledged]
        # Another may have been acknowledged at this very moment.
        late = [request for request in ending.late if not request.message.acknowledged]
        first = [*handback_events.before_return(late), *handback_events.events(Running([], ending.early), is_last=True)]
        return {
            "program": self._settings.program,
            "run_directory": os.path.realpath(self._settings.run_directory),
            "until": monotonic() + max(LEAST_SECONDS, left - LEAST_SECONDS),
            "tags": tags,
            "acknowledged": acknowledged,
            "events": first,
            "late": [handback_events.named(request) for request in late],
        }

    # Events ----------------------------------------------------------------------------------------------------------

    def _record(self, running: Running, returned: int = 0, *, is_last: bool = False) -> None:
        self._write(handback_events.events(running, returned, is_last=is_last))

    def _record_failure(self, late: List[Any], why: str) -> None:
        self._write(handback_events.not_returned(late, why, is_redis=handback_broker.is_redis(self._worker)))

    def _write(self, events: Iterable[Dict[str, Any]]) -> None:
        for event in events:
            self._report(event["reason"])
            own_events.record(self._settings, self._report, **event)


# Celery's requests ---------------------------------------------------------------------------------------------------


def _running() -> Running:
    requests = members(sys.modules["celery.worker.state"].active_requests)
    late = [request for request in requests if not request.acknowledged]
    return Running(late, [request for request in requests if request.acknowledged])


def _unsettled() -> List[Any]:
    requests = list(sys.modules["celery.worker.state"].requests.values())
    return [request for request in requests if not request.acknowledged]


def _settle(request: Any) -> None:
    """Let Celery neither acknowledge a message that has been returned, nor count its task as running."""
    request.acknowledged = True
    sys.modules["celery.worker.state"].task_ready(request)


def _refuse_to_start() -> None:
    """Let no pool but one of processes start another task; it calls this before the task."""

    def refuse(*_: Any) -> None:
        raise sys.modules["celery.exceptions"].WorkerShutdown(0)

    sys.modules["celery.worker.request"].task_accepted = refuse  # type: ignore[attr-defined]


def _clear_waiting(worker: Any, billiard: Any, buffer: Any) -> None:
    """Forget the tasks that no process has been sent; all their messages are about to be returned."""
    waiting = getattr(getattr(worker, "semaphore", None), "_waiting", None)
    if waiting is not None:
        waiting.clear()
    buffer.clear()
    for job in list(billiard._cache.values()):
        if not job._accepted and not (job._write_to or job._scheduled_for):
            job.discard()


def _reader(hub: Any) -> Any:
    """Return a function that turns the event loop once."""
    loop = hub.create_loop()

    def turn() -> None:
        hub.timer.call_after(handback_pool.PAUSE_SECONDS, lambda: None)
        next(loop)

    return turn
