"""Ask the broker on a separate connection how many messages wait, while the worker continues.

A thread asks rarely, and only for a cheap passive declaration of each queue. The connection stays open, so that it does
not fill the broker's log. In a green pool a greenlet asks instead, because modules that gevent or eventlet have patched
must not be used from another thread.
"""

import _thread
import importlib
import os
from time import monotonic, sleep
from typing import Any, Callable, Dict, Optional

from . import verdict
from .native_threads import start_thread
from .worker_state import WorkerState, described, printable

ANSWER_SECONDS = 3
"""How long the broker may take to answer."""

FORK_SECONDS = 0.5
"""How long a fork waits for a query in progress; a child that inherits half a query may hang."""

FAILURES_TO_REPORT = 3

EARLY_SECONDS = 0.2
"""How soon to look again at a worker that is about to consume."""


SPAWN = {"gevent": "spawn", "eventlet": "spawn_n"}
"""The function that starts a detached greenlet, by the library of the pool."""


class QueuePoller:
    """Keep `queues` and `queues_asked` of `observed` up to date."""

    def __init__(self, observed: WorkerState) -> None:
        self._observed = observed
        self._seconds = max(0.2, observed.settings.stale_seconds / 2)
        self._connection: Any = None
        self._channel: Any = None
        self._origin: Any = None
        self._known: Dict[str, Any] = {}
        self._failures = 0
        self._has_started = False
        self._asking = _thread.allocate_lock()

    def of_consumer(self, consumer: Any) -> None:
        """Poll the queues of a worker's consumer from now until the process exits; may be called again."""
        self._origin = consumer.connection
        # Remembered now, before one of them can be cancelled.
        self._remember_queues(consumer)
        self._start(consumer.pool, lambda: self._ask_queues(consumer))

    def of_app(self, app: Any) -> None:
        """Check that the broker of a beat's app answers, and only when beat is late."""
        self._start(None, lambda: self._ask_broker(app))

    def _start(self, pool: Any, ask: Callable[[], bool]) -> None:
        if self._has_started:
            return
        self._has_started = True
        module = type(pool).__module__.rpartition(".")[2] if getattr(pool, "is_green", False) else ""
        if module in SPAWN:
            green = importlib.import_module(module)
            getattr(green, SPAWN[module])(self._forever, ask, green.sleep)
        else:
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork)
            start_thread(self._forever, ask, sleep)

    def _forever(self, ask: Callable[[], bool], wait: Callable[[float], Any]) -> None:
        """Call `ask` again and again, sooner if it returns that it was too early for an answer."""
        while True:
            is_early = False
            try:
                with self._asking:
                    is_early = ask()
                self._failures = 0
                self._observed.missing.pop("queues", None)
            except Exception as error:
                self._disconnect()
                self._failures += 1
                if self._failures >= FAILURES_TO_REPORT:
                    self._observed.missing["queues"] = f"the broker does not answer ({described(error)})"
            wait(EARLY_SECONDS if is_early else self._seconds)

    def _before_fork(self) -> None:
        self._is_held = self._observed.is_own_process() and self._asking.acquire(True, FORK_SECONDS)

    def _after_fork(self) -> None:
        if self._is_held:
            self._asking.release()

    # The queries -----------------------------------------------------------------------------------------------------

    def _ask_queues(self, consumer: Any) -> bool:
        if self._observed.phase != verdict.CONSUMING:
            return False
        if self._is_about_to_consume(consumer.task_consumer):
            return True
        if consumer.connection is not self._origin:
            self._origin = consumer.connection
            self._disconnect()
        self._remember_queues(consumer)
        if self._connection is None:
            self._connect(self._origin)
        answered = [self._ask_queue(name) for name in sorted(self._known)]
        is_first = self._observed.queues_asked is None
        self._observed.queues = answered
        self._observed.queues_asked = monotonic()
        if is_first:
            # An install waits for this.
            self._observed.on_change()
        return False

    def _is_about_to_consume(self, task_consumer: Any) -> bool:
        """Return whether the broker does not know this consumer yet, and so would not count it.

        Celery creates its consumer first and starts consuming when its loop begins. A worker that does not get that far
        within `stale_seconds` is polled anyway.
        """
        since = monotonic() - self._observed.phase_since
        is_patient = since < self._observed.settings.stale_seconds
        return is_patient and not all(map(task_consumer.consuming_from, list(task_consumer.queues)))

    def _remember_queues(self, consumer: Any) -> None:
        """Add the queues that are consumed now; a queue that was cancelled later is still polled."""
        for queue in list(consumer.task_consumer.queues):
            self._known[queue.name] = queue
        self._observed.passive_queues = frozenset(
            printable(name)
            for name, queue in self._known.items()
            if (queue.queue_arguments or {}).get("x-single-active-consumer")
        )

    def _ask_queue(self, name: str) -> Dict[str, Any]:
        messages: Optional[int] = None
        consumers: Optional[int] = None
        try:
            if hasattr(self._channel, "_size"):
                # A transport that emulates AMQP, such as Redis: it does not know the other consumers.
                messages = int(self._channel._size(name))
            else:
                declared = self._channel.queue_declare(name, passive=True)
                messages, consumers = declared.message_count, declared.consumer_count
        except self._connection.channel_errors:
            # The queue does not exist, or another connection holds it exclusively; AMQP then closes the channel.
            self._channel = self._connection.channel()
        return {
            "name": printable(name),
            "messages": messages,
            "consumers": consumers,
            "since": self._abandoned_since(name) if messages and consumers == 0 else None,
        }

    def _abandoned_since(self, name: str) -> float:
        before = [queue["since"] for queue in self._observed.queues if queue["name"] == printable(name)]
        return before[0] if before and before[0] is not None else monotonic()

    def _ask_broker(self, app: Any) -> bool:
        due = self._observed.tick_due
        if due is None or monotonic() - due < self._seconds:
            return False
        try:
            self._connect(app.connection_for_write())
            self._observed.queues_asked = monotonic()
        finally:
            self._disconnect()
        return False

    # The connection --------------------------------------------------------------------------------------------------

    def _connect(self, origin: Any) -> None:
        if origin is None:
            raise ConnectionError("the worker has no connection")
        options = dict(origin.transport_options or {})
        for name, value in _time_limits(origin).items():
            options.setdefault(name, value)
        connection = origin.clone(connect_timeout=ANSWER_SECONDS, heartbeat=0, transport_options=options)
        self._connection = connection
        connection.connect()
        self._channel = connection.channel()

    def _disconnect(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            try:
                # Not connection.collect(), which temporarily changes the socket timeout of the whole process.
                transport = vars(connection).get("_connection")
                # py-amqp: do not send a close, because a broker that is down would never acknowledge it.
                (transport.collect if hasattr(transport, "collect") else connection.close)()
            except Exception:  # noqa: S110  # the connection is abandoned either way
                pass


def _time_limits(connection: Any) -> Dict[str, Any]:
    transport = connection.get_transport_cls()
    if getattr(transport, "driver_name", "") == "py-amqp":
        return {"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
    if getattr(transport, "driver_type", "") == "redis":
        return {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    return {}
