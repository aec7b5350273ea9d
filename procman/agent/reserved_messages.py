"""Return the messages that a stopping worker has received and not started: Celery 4.4 to 5.7, with an event loop.

Celery keeps them until it exits. Everything here runs in the main thread, between two rounds of the event loop.
"""

import sys
from collections import deque
from contextlib import contextmanager
from time import monotonic
from typing import Any, Callable, Deque, Iterator, List, Optional

CANCEL_SECONDS = 5.0
LATE_SECONDS = 2.0
"""How long after the cancellation Redis may send a message: kombu waits for one for a second at a time."""


class Arrivals:
    """Keep the messages that arrive once a stop has been requested, without starting their tasks.

    One round of the event loop may take many messages, and a solo pool runs each at once; Celery asks whether to stop
    between two rounds only.
    """

    def __init__(self, is_stopping: Callable[[], bool]) -> None:
        self._is_stopping = is_stopping
        self.kept: Deque[Any] = deque()

    def watch(self, consumer: Any) -> None:
        """Watch what Celery's `consumer` gets from all its connections and timers; call it before the first."""
        if "create_task_handler" in vars(consumer):
            return
        create = consumer.create_task_handler

        def create_watched(*arguments: Any, **more: Any) -> Any:
            return self._watched(create(*arguments, **more), self.kept.append)

        consumer.create_task_handler = create_watched
        # One round of the loop also starts many tasks whose ETA has come.
        consumer.on_task_request = self._watched(consumer.on_task_request, self._keep_due)

    def _watched(self, start: Callable[[Any], Any], keep: Callable[[Any], Any]) -> Callable[[Any], Any]:
        is_stopping = self._is_stopping

        def keep_or_start(found: Any) -> Any:
            return keep(found) if is_stopping() else start(found)

        return keep_or_start

    def _keep_due(self, request: Any) -> None:
        self.kept.extend(_withdrawn([request]))


class ReservedMessages:
    """The messages of `worker` that it returns when it stops, each at most once."""

    def __init__(self, worker: Any, kept: Optional[Deque[Any]] = None) -> None:
        self._worker = worker
        self._channel = worker.consumer.task_consumer.channel
        self._waiting: Deque[Any] = deque() if kept is None else kept
        """Messages that can no longer start here, in the order in which the broker sent them."""
        self.returned = 0
        self._late_until = 0.0

    def stop_consuming(self) -> None:
        """Cancel the consumer of tasks; keep what the broker still sends. Raises what the connection raises."""
        consumer = self._worker.consumer.task_consumer
        # The broker's answer to the cancellation comes after the messages that it has sent before.
        consumer.on_message = self._waiting.append
        # A command by remote control must not start it again.
        self._worker.consumer.add_task_queue = lambda *_, **__: None
        with _bounded(self._worker.consumer.connection):
            consumer.cancel()
        self._late_until = monotonic() + LATE_SECONDS

    def may_arrive(self) -> bool:
        """Return whether Redis may still answer a BRPOP from before the cancellation, perhaps with a message.

        A round of the loop reads the answer, and kombu returns the message at once. Otherwise it would be read when the
        connection is closed: after the end of the pool, while other workers wait for messages.
        """
        return bool(getattr(self._channel, "_in_poll", None)) and monotonic() < self._late_until

    def withdraw(self) -> None:
        """Take back the tasks that no pool process or thread can start any more once this has returned."""
        requests: List[Any] = []
        try:
            _of_pool(self._worker.pool, requests)
            _of_semaphore(self._worker, requests)
            _limited(self._worker.consumer, requests)
            _scheduled(self._worker.consumer, requests)
        finally:
            # What one place gave is returned even if another one fails.
            self._waiting.extendleft(reversed(_withdrawn(requests)))

    def give_back(self, seconds: float) -> bool:
        """Return messages for at most `seconds`; return whether all have been returned."""
        deadline = monotonic() + seconds
        # Redis puts each at the head of its queue.
        take = self._waiting.pop if _tags_are_kept(self._channel) else self._waiting.popleft
        while self._waiting and monotonic() < deadline:
            message = take()
            if message.channel is self._channel and not message.acknowledged:
                give_back(message)
                self.returned += 1
        return not self._waiting


def give_back(message: Any) -> None:
    """Return one message to its queue, on Redis to its head; raises what the connection raises.

    A message keeps its delivery tag on Redis. Once another worker has taken it, this worker must not acknowledge or
    restore that tag again: it would remove or repeat the message of the other worker.
    """
    if not _tags_are_kept(message.channel):
        message.requeue()
        return
    message.channel.qos.restore_by_tag(message.delivery_tag)
    # Only forgets the tag; `ack` would remove it from Redis too.
    message.channel.qos._quick_ack(message.delivery_tag)
    message._state = "REQUEUED"


def _tags_are_kept(channel: Any) -> bool:
    """Return whether kombu itself keeps the unacknowledged messages in the broker, as with Redis."""
    return hasattr(getattr(channel, "qos", None), "restore_by_tag")


@contextmanager
def _bounded(connection: Any) -> Iterator[None]:
    """Bound how long an AMQP server may take to answer."""
    transport = getattr(getattr(connection, "connection", None), "transport", None)
    having_timeout = getattr(transport, "having_timeout", None)
    if having_timeout is None:
        yield
    else:
        with having_timeout(CANCEL_SECONDS):
            yield


# The places where requests wait --------------------------------------------------------------------------------------


def _withdrawn(requests: List[Any]) -> List[Any]:
    """Return the messages of requests that start nowhere, and keep Celery from settling them."""
    messages = [request.message for request in requests if not request.acknowledged]
    for request in requests:
        request.acknowledged = True
        sys.modules["celery.worker.state"].task_ready(request)
    return messages


def _of_pool(pool: Any, requests: List[Any]) -> None:
    buffer = getattr(getattr(pool, "_pool", None), "outbound_buffer", None)
    queue = getattr(getattr(pool, "executor", None), "_work_queue", None)
    if buffer is not None:
        _of_buffer(buffer, requests)
    elif queue is not None:
        _of_threads(queue, requests)


def _of_buffer(buffer: Any, requests: List[Any]) -> None:
    """Withdraw the jobs of which no byte has been written to a pool process."""
    kept = []
    while buffer:
        job = buffer.popleft()
        request = getattr(job._accept_callback, "__self__", None)
        if job._accepted or not _is_request(request):
            kept.append(job)
        else:
            job.discard()
            requests.append(request)
    buffer.extend(kept)


def _of_threads(queue: Any, requests: List[Any]) -> None:
    """Withdraw the calls that no thread has taken from the queue of a ThreadPoolExecutor."""
    kept = []
    while not queue.empty():
        try:
            item = queue.get_nowait()
        except Exception:  # queue.Empty, of the implementation in use
            break
        request = None if item is None else getattr(_arguments(item)[-1], "__self__", None)
        if _is_request(request) and item.future.cancel():
            requests.append(request)
        else:
            kept.append(item)
    for item in kept:
        queue.put(item)


def _arguments(item: Any) -> Any:
    # Python 3.14 keeps function, arguments and keyword arguments in one tuple.
    return (item.args if hasattr(item, "args") else item.task[1]) or (None,)


def _of_semaphore(worker: Any, requests: List[Any]) -> None:
    """Withdraw the requests that wait until a pool process is free."""
    waiting: Any = getattr(worker.semaphore, "_waiting", None)
    kept = []
    while waiting:
        waiter = waiting.popleft()
        if waiter[0] == worker._process_task:
            requests.append(waiter[1][0])
        else:
            kept.append(waiter)
    if kept:
        waiting.extend(kept)


def _limited(consumer: Any, requests: List[Any]) -> None:
    """Withdraw the requests that wait for their rate limit."""
    for bucket in list(consumer.task_buckets.values()):
        while bucket and bucket.contents:
            requests.append(bucket.contents.popleft()[0])


def _scheduled(consumer: Any, requests: List[Any]) -> None:
    """Withdraw the requests that wait for their ETA."""
    for waiting in list(consumer.timer.schedule.queue):
        entry = waiting.entry
        if entry.fun in (consumer.apply_eta_task, consumer._limit_post_eta) and not entry.canceled:
            entry.cancel()
            requests.append(entry.args[0])


def _is_request(found: Any) -> bool:
    return hasattr(found, "acknowledged") and hasattr(found, "message")
