"""The places from which a stopping worker takes reserved messages back, and how it returns them."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from procman.agent import reserved_messages
from procman.agent.reserved_messages import LATE_SECONDS, Arrivals, ReservedMessages


class Channel:
    """A channel of RabbitMQ."""

    def __init__(self) -> None:
        self.returned: list[str] = []


class Qos:
    """The unacknowledged messages of kombu's channel of Redis."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.forgotten: list[str] = []

    def restore_by_tag(self, tag: str) -> None:
        assert tag not in self.forgotten
        self._channel.returned.append(tag)

    def _quick_ack(self, tag: str) -> None:
        self.forgotten.append(tag)


class Message:
    def __init__(self, channel: Channel, tag: str) -> None:
        self.channel, self.delivery_tag, self.acknowledged = channel, tag, False

    def requeue(self) -> None:
        assert not self.acknowledged
        self.acknowledged = True
        self.channel.returned.append(self.delivery_tag)


class Request:
    def __init__(self, channel: Channel, tag: str) -> None:
        self.message, self.acknowledged = Message(channel, tag), False

    def on_accepted(self) -> None: ...


class Job:
    """A job of billiard."""

    def __init__(self, request: Request, accepted: bool = False) -> None:
        self._accept_callback, self._accepted, self.discarded = request.on_accepted, accepted, False

    def discard(self) -> None:
        self.discarded = True


class Worker:
    """What the module uses of a worker with a prefork pool."""

    def __init__(self, channel: Channel) -> None:
        self.buffer: deque[Job] = deque()
        self.timed: list[Any] = []
        self.pool: Any = SimpleNamespace(_pool=SimpleNamespace(outbound_buffer=self.buffer))
        self.semaphore: Any = SimpleNamespace(_waiting=deque())
        self.consumer: Any = SimpleNamespace(
            task_consumer=SimpleNamespace(channel=channel, on_message=None, cancel=lambda: None),
            connection=SimpleNamespace(connection=None),
            task_buckets={},
            timer=SimpleNamespace(schedule=SimpleNamespace(queue=self.timed)),
            apply_eta_task=lambda _: None,
            _limit_post_eta=lambda *_: None,
        )

    def _process_task(self, _: Any) -> None: ...


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the requests of which Celery was told that they need no more work."""
    ready: list[Any] = []
    monkeypatch.setitem(sys.modules, "celery.worker.state", SimpleNamespace(task_ready=ready.append))
    return ready


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def worker(channel: Channel) -> Worker:
    return Worker(channel)


def entry(fun: Callable[..., Any], *arguments: Any, canceled: bool = False) -> Any:
    made = SimpleNamespace(fun=fun, args=arguments, canceled=canceled)
    made.cancel = lambda: setattr(made, "canceled", True)
    return SimpleNamespace(entry=made)


def test_each_place_gives_its_requests_and_keeps_what_runs(worker: Worker, channel: Channel, ready: list[Any]) -> None:
    accepted, written = Job(Request(channel, "runs"), accepted=True), Job(Request(channel, "buffered"))
    worker.buffer.extend([written, accepted])
    foreign: Any = (print, ("other",), {})
    worker.semaphore._waiting.extend([(worker._process_task, (Request(channel, "waiting"),), {}), foreign])
    worker.consumer.task_buckets.update(
        none=None, limited=SimpleNamespace(contents=deque([(Request(channel, "l"), 1)]))
    )
    consumer = worker.consumer
    worker.timed.extend(
        [
            entry(consumer.apply_eta_task, Request(channel, "eta")),
            entry(consumer._limit_post_eta, Request(channel, "limited-eta"), None, 1),
            entry(consumer.apply_eta_task, Request(channel, "cancelled"), canceled=True),
            entry(print, "other"),
        ]
    )
    messages = ReservedMessages(worker)
    messages.withdraw()
    assert messages.give_back(1)
    assert channel.returned == ["buffered", "waiting", "l", "eta", "limited-eta"]
    assert len(ready) == messages.returned == 5
    assert (list(worker.buffer), list(worker.semaphore._waiting)) == ([accepted], [foreign])
    assert written.discarded
    assert [each.entry.canceled for each in worker.timed] == [True, True, True, False]
    messages.withdraw()
    assert messages.give_back(1)
    assert messages.returned == 5


def test_requests_of_one_place_are_returned_although_another_place_fails(
    worker: Worker, channel: Channel, ready: list[Any]
) -> None:
    worker.buffer.extend([Job(Request(channel, "buffered")), SimpleNamespace()])  # type: ignore[list-item]
    worker.consumer.task_buckets.update(l=SimpleNamespace(contents=deque([(Request(channel, "limited"), 1)])))
    messages = ReservedMessages(worker)
    with pytest.raises(AttributeError):
        messages.withdraw()
    assert messages.give_back(1)
    assert channel.returned == ["buffered"]


def test_message_that_arrives_while_the_consumer_is_cancelled_is_returned(
    worker: Worker, channel: Channel, ready: list[Any]
) -> None:
    worker.consumer.task_consumer.cancel = lambda: worker.consumer.task_consumer.on_message(Message(channel, "late"))
    messages = ReservedMessages(worker)
    messages.stop_consuming()
    assert not channel.returned, "it would come back at once"
    assert messages.give_back(1)
    assert channel.returned == ["late"]


def test_answer_that_redis_owes_is_awaited_for_some_time(
    worker: Worker, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = ReservedMessages(worker)
    messages.stop_consuming()
    assert not messages.may_arrive()
    for waits, expected in ((object(), True), (None, False), (False, False)):
        channel._in_poll = waits  # type: ignore[attr-defined]
        assert messages.may_arrive() is expected
    channel._in_poll = object()  # type: ignore[attr-defined]
    after = monotonic() + LATE_SECONDS
    monkeypatch.setattr(reserved_messages, "monotonic", lambda: after)
    assert not messages.may_arrive()


def test_cancellation_waits_only_so_long_for_the_broker(worker: Worker) -> None:
    bounds: list[float] = []

    @contextmanager
    def having_timeout(seconds: float) -> Iterator[None]:
        bounds.append(seconds)
        yield

    transport = SimpleNamespace(having_timeout=having_timeout)
    worker.consumer.connection = SimpleNamespace(connection=SimpleNamespace(transport=transport))
    ReservedMessages(worker).stop_consuming()
    assert bounds == [5]


def test_redis_gets_the_last_message_first_and_its_tag_is_forgotten(
    worker: Worker, channel: Channel, ready: list[Any]
) -> None:
    channel.qos = qos = Qos(channel)  # type: ignore[attr-defined]
    worker.buffer.extend([Job(Request(channel, "1")), Job(Request(channel, "2"))])
    messages = ReservedMessages(worker)
    messages.withdraw()
    assert messages.give_back(1)
    assert channel.returned == qos.forgotten == ["2", "1"]


def test_message_of_an_earlier_connection_is_left_to_the_broker(
    worker: Worker, channel: Channel, ready: list[Any]
) -> None:
    worker.buffer.append(Job(Request(Channel(), "earlier")))
    messages = ReservedMessages(worker)
    messages.withdraw()
    assert messages.give_back(1)
    assert messages.returned == 0
    assert not worker.buffer, "it would run here and elsewhere"


def test_acknowledged_request_is_not_returned(worker: Worker, channel: Channel, ready: list[Any]) -> None:
    request = Request(channel, "1")
    request.acknowledged = True
    worker.buffer.append(Job(request))
    messages = ReservedMessages(worker)
    messages.withdraw()
    assert messages.give_back(1)
    assert not channel.returned


def test_call_that_no_thread_has_taken_is_withdrawn(worker: Worker, channel: Channel, ready: list[Any]) -> None:
    with ThreadPoolExecutor(1) as executor:
        worker.pool = SimpleNamespace(executor=executor)
        may_end, done = Event(), Event()
        executor.submit(may_end.wait)
        executor.submit(print, Request(channel, "1").on_accepted)
        executor.submit(done.set)
        messages = ReservedMessages(worker)
        messages.withdraw()
        may_end.set()
        assert done.wait(120), "calls of others stay"
        assert messages.give_back(1)
    assert channel.returned == ["1"]


@pytest.mark.parametrize("is_redis", [False, True])
def test_message_that_arrives_after_the_request_to_stop_is_not_started_but_returned_once(
    ready: list[Any], is_redis: bool
) -> None:
    channel = Channel()
    if is_redis:
        channel.qos = Qos(channel)  # type: ignore[attr-defined]
    started: list[str] = []
    worker = Worker(channel)

    class Consumer(SimpleNamespace):
        def create_task_handler(self) -> Callable[[Any], None]:
            return lambda message: started.append(message.delivery_tag)

    due: list[Any] = []
    worker.consumer = Consumer(**vars(worker.consumer), on_task_request=due.append)
    is_stopping = False
    arrivals = Arrivals(lambda: is_stopping)
    for _ in range(2):
        arrivals.watch(worker.consumer)
        worker.consumer.task_consumer.on_message = worker.consumer.create_task_handler()
    consumer = worker.consumer.task_consumer
    consumer.on_message(Message(channel, "before"))
    before, after = Request(channel, "due before"), Request(channel, "due after")
    worker.consumer.on_task_request(before)
    is_stopping = True
    consumer.on_message(Message(channel, "after"))
    worker.consumer.on_task_request(after)
    consumer.on_message(Message(Channel(), "of a connection that was lost"))
    messages = ReservedMessages(worker, arrivals.kept)
    assert messages.give_back(1)
    assert messages.give_back(1)
    assert (started, due, ready) == (["before"], [before], [after])
    assert sorted(channel.returned) == ["after", "due after"]
