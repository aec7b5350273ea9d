"""Ask the broker how many messages wait, on a connection of its own: whatever it does, the worker goes on meanwhile.

A thread asks, seldom, and only what costs the broker next to nothing: a passive declaration of each queue. The
connection stays open, so that the broker's log does not fill with it. In a green pool it is a greenlet that asks, since
what gevent and eventlet have patched must not be used from another thread.
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
"""How long a fork waits for a question that is just being asked; what a child inherits half-done may block it."""

FAILURES_TO_TELL = 3

EARLY_SECONDS = 0.2
"""After so long a worker that is about to consume is looked at again."""


SPAWN = {"gevent": "spawn", "eventlet": "spawn_n"}
"""What starts a greenlet that nobody waits for, by the library of the pool."""


class QueuePoller:
    """Keeps `queues` and `queues_asked` of OBSERVED up to date."""

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
        """Ask about the queues of a worker's consumer, now and as long as the process lives. May be called again."""
        self._origin = consumer.connection
        # Now: before anybody can cancel one.
        self._remember_queues(consumer)
        self._start(consumer.pool, lambda: self._ask_queues(consumer))

    def of_app(self, app: Any) -> None:
        """Ask nothing but whether the broker of a beat's app is there, and only when beat is late."""
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
        """ASK again and again; it says whether that was too early to be told anything."""
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
                if self._failures >= FAILURES_TO_TELL:
                    self._observed.missing["queues"] = f"the broker does not answer questions ({described(error)})"
            wait(EARLY_SECONDS if is_early else self._seconds)

    def _before_fork(self) -> None:
        self._is_held = self._observed.is_own_process() and self._asking.acquire(True, FORK_SECONDS)

    def _after_fork(self) -> None:
        if self._is_held:
            self._asking.release()

    # What is asked ---------------------------------------------------------------------------------------------------

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
        self._observed.queues = answered
        self._observed.queues_asked = monotonic()
        return False

    def _is_about_to_consume(self, task_consumer: Any) -> bool:
        """Say whether the broker does not know yet of this consumer, which it therefore would not count.

        Celery makes its consumer first and lets it consume when its loop begins. A worker that never gets so far is
        asked about after all.
        """
        since = monotonic() - self._observed.phase_since
        is_patient = since < self._observed.settings.stale_seconds
        return is_patient and not all(map(task_consumer.consuming_from, list(task_consumer.queues)))

    def _remember_queues(self, consumer: Any) -> None:
        """Add to the queues those consumed now: one that somebody has cancelled is still asked for."""
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
                # A transport that plays AMQP, such as Redis: it does not know who else consumes.
                messages = int(self._channel._size(name))
            else:
                declared = self._channel.queue_declare(name, passive=True)
                messages, consumers = declared.message_count, declared.consumer_count
        except self._connection.channel_errors:
            # There is no such queue, or it is another's alone; AMQP closes the channel with the answer.
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
                # Not connection.collect(): it changes the time limit of sockets for the whole process meanwhile.
                transport = vars(connection).get("_connection")
                # py-amqp: without a farewell, which a broker that is away would have to acknowledge.
                (transport.collect if hasattr(transport, "collect") else connection.close)()
            except Exception:  # noqa: S110  # it is given up either way
                pass


def _time_limits(connection: Any) -> Dict[str, Any]:
    transport = connection.get_transport_cls()
    if getattr(transport, "driver_name", "") == "py-amqp":
        return {"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
    if getattr(transport, "driver_type", "") == "redis":
        return {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    return {}
