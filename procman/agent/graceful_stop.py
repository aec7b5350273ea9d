"""Stop a worker without holding messages back: return what it has not started, then let the running tasks finish.

Celery's own stop keeps reserved messages until it exits, and waits for the running tasks with its event loop at rest:
RabbitMQ closes the connection after two or three missed heartbeats and delivers a late-acknowledged task again while it
still runs. So the stop is held up at the point where the loop would end, with everything in place: Celery 4.4 to 5.7,
in workers with an event loop. In others Celery's own stop is left alone.
"""

import importlib
import sys
from typing import Any, Callable

from . import handback_broker, verdict
from .reserved_messages import Arrivals, ReservedMessages
from .settings import report
from .stop_requests import StopRequests
from .worker_state import WorkerState, described

TURN_SECONDS = 0.1
"""How long one round of the event loop may wait, and for how long messages are returned between two rounds."""


def follow(worker: Any, observed: WorkerState, handback: Any) -> None:
    """Return messages and drain when `worker` is stopped gracefully; `handback` ends a drain that takes too long."""
    loops: Any = importlib.import_module("celery.worker.loops")
    requests = StopRequests(loops.state)
    requests.follow()
    state = StateOfLoop(loops.state)
    arrivals = Arrivals(state.is_stopping)
    state.before_stop = GracefulStop(worker, observed, handback, arrivals).begin
    loops.state, loop = state, loops.asynloop

    def watched_loop(consumer: Any, *arguments: Any, **more: Any) -> Any:
        # It begins again for each connection, and then the hub may have been reset.
        requests.wake(consumer.hub)
        arrivals.watch(consumer)
        if observed.pool == "solo":
            _acknowledge_at_once(consumer)
        return loop(consumer, *arguments, **more)

    loops.asynloop = watched_loop


def _acknowledge_at_once(consumer: Any) -> None:
    """Let a solo worker acknowledge messages when Celery means to, not in a later round of the loop.

    That may be several tasks later. A kill until then would repeat all of them, however early they are acknowledged.
    """
    for name in ("call_soon", "call_soon_ack"):
        later = getattr(consumer, name, None)
        if later is not None and name not in vars(consumer):
            setattr(consumer, name, _at_once(later))


def _at_once(later: Callable[..., Any]) -> Callable[..., Any]:
    def call(function: Any, *arguments: Any, **more: Any) -> Any:
        is_acknowledgement = getattr(function, "__name__", "") == "ack_log_error"
        return function(*arguments, **more) if is_acknowledgement else later(function, *arguments, **more)

    return call


class StateOfLoop:
    """What Celery's event loop sees of `celery.worker.state`; each of its rounds asks whether to stop.

    Each task takes this way several times, so it makes few calls.
    """

    def __init__(self, state: Any, before_stop: Callable[[], None] = lambda: None) -> None:
        self._state, self.before_stop = state, before_stop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def maybe_shutdown(self) -> None:
        """Raise WorkerShutdown or WorkerTerminate if the worker is to stop."""
        state = self._state
        if state.should_stop is not None and is_set(state.should_stop) and not is_set(state.should_terminate):
            self.before_stop()
        state.maybe_shutdown()

    def is_stopping(self) -> bool:
        """Return whether the worker is to stop."""
        stop, terminate = self._state.should_stop, self._state.should_terminate
        return not (stop is None and terminate is None) and (is_set(stop) or is_set(terminate))


def is_set(flag: Any) -> bool:
    """Return whether Celery's flag is set: its value is an exit status, and so often 0."""
    return flag is not None and flag is not False


class GracefulStop:
    """A graceful stop of one worker."""

    def __init__(self, worker: Any, observed: WorkerState, handback: Any, arrivals: Arrivals) -> None:
        self._worker, self._observed, self._handback, self._arrivals = worker, observed, handback, arrivals

    def begin(self) -> None:
        """Return the reserved messages and wait for the running tasks; never raises an Exception."""
        # HUP and remote control give no signal, and no SIGKILL follows. TERM has been noted by now.
        self._observed.enter(verdict.DRAINING)
        try:
            if self._handback.has_begun:
                self._handback.wait()
            elif self._worker.consumer.hub is not None and handback_broker.is_known(self._worker):
                self._return_and_drain()
        except Exception as error:
            self._observed.missing["graceful stop"] = described(error)
            self._report(f"only Celery's own stop continues: {described(error)} while its tasks were running")

    def _report(self, message: str) -> None:
        report(self._observed.settings.program, message)

    def _return_and_drain(self) -> None:
        messages = ReservedMessages(self._worker, self._arrivals.kept)
        messages.stop_consuming()
        messages.withdraw()
        turn = _turns(self._worker.consumer.hub)
        while not self._give_back(messages) or messages.may_arrive() or is_busy(self._worker.pool):
            if is_set(sys.modules["celery.worker.state"].should_terminate):
                return
            if self._handback.is_due():
                self._handback.from_main_thread(self._worker)
                return
            next(turn)
            # A job of a pool process that has died waits for another one.
            messages.withdraw()

    def _give_back(self, messages: ReservedMessages) -> bool:
        before = messages.returned
        has_all = messages.give_back(TURN_SECONDS)
        if messages.returned > before:
            self._report(f"returned to the broker: {messages.returned} reserved messages")
        return has_all


def _turns(hub: Any) -> Any:
    """Turn the event loop once at each step."""
    while True:
        hub.timer.call_after(TURN_SECONDS, lambda: None)
        for _ in hub.create_loop():
            yield
            hub.timer.call_after(TURN_SECONDS, lambda: None)


def is_busy(pool: Any) -> bool:
    """Return whether `pool` runs a task or will run one that cannot be withdrawn."""
    jobs = getattr(getattr(pool, "_pool", None), "_cache", None)
    if isinstance(jobs, dict):
        return any(not job.ready() for job in list(jobs.values()))
    threads = getattr(getattr(pool, "executor", None), "_threads", ())
    return any(_is_at_work(sys._current_frames().get(thread.ident)) for thread in list(threads))


def _is_at_work(frame: Any) -> bool:
    """Return whether a thread of a ThreadPoolExecutor is in a call; Celery keeps no list that could be relied on."""
    run = sys.modules["concurrent.futures.thread"]._WorkItem.run.__code__
    while frame is not None and frame.f_code is not run:
        frame = frame.f_back
    return frame is not None
