"""The polling of a worker's queues, with a fake broker; tests/host/test_health.py uses a real RabbitMQ."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from procman.agent import queue_poller, verdict
from procman.agent.queue_poller import EARLY_SECONDS, QueuePoller
from procman.agent.settings import read_settings
from procman.agent.worker_state import WorkerState

STALE = 30


class Broker:
    """A fake broker that counts the consumers of one queue."""

    channel_errors = ()
    transport_options = None

    def __init__(self) -> None:
        self.consumed: set[str] = set()
        self.asked = 0

    def clone(self, **_: Any) -> Broker:
        return self

    def connect(self) -> None:
        pass

    def channel(self) -> Broker:
        return self

    def get_transport_cls(self) -> type:
        return object

    def queue_declare(self, name: str, passive: bool) -> SimpleNamespace:
        assert passive
        self.asked += 1
        return SimpleNamespace(message_count=10, consumer_count=int(name in self.consumed))


class Worker:
    """A fake worker: as in Celery, the consumer knows its queue before it consumes."""

    def __init__(self, broker: Broker) -> None:
        queue = SimpleNamespace(name="celery", queue_arguments=None)
        self.connection = broker
        self.pool = SimpleNamespace()
        self.task_consumer = SimpleNamespace(queues=[queue], consuming_from=lambda queue: queue.name in broker.consumed)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, broker: Broker, observed: WorkerState) -> Callable[[], float]:
    """Run one round of the polling thread, and return how long it then waits."""
    threads: list[tuple[Any, ...]] = []
    monkeypatch.setattr(queue_poller, "start_thread", lambda *thread: threads.append(thread))
    monkeypatch.delattr("os.register_at_fork")
    QueuePoller(observed).of_consumer(Worker(broker))
    [(forever, act, _)] = threads

    def once() -> float:
        class Waits(Exception):
            pass

        def wait(seconds: float) -> None:
            raise Waits(seconds)

        with pytest.raises(Waits) as caught:
            forever(act, wait)
        return float(caught.value.args[0])

    return once


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def observed() -> WorkerState:
    observed = WorkerState(read_settings({"PROCMAN_STALE_SECONDS": str(STALE)}))
    observed.enter(verdict.CONSUMING)
    return observed


def test_worker_that_is_about_to_consume_is_not_reported_without_a_consumer(
    ask: Callable[[], float], broker: Broker, observed: WorkerState
) -> None:
    assert ask() == EARLY_SECONDS
    assert (observed.queues, broker.asked) == ([], 0)
    broker.consumed.add("celery")
    assert ask() == STALE / 2
    assert observed.queues == [{"name": "celery", "messages": 10, "consumers": 1, "since": None}]


def test_worker_that_never_starts_to_consume_is_polled_anyway(ask: Callable[[], float], observed: WorkerState) -> None:
    observed.phase_since -= STALE
    assert ask() == STALE / 2
    [queue] = observed.queues
    assert (queue["messages"], queue["consumers"]) == (10, 0)
    since = queue["since"]
    ask()
    assert observed.queues[0]["since"] == since


def test_broker_is_not_polled_without_a_connection(
    ask: Callable[[], float], broker: Broker, observed: WorkerState
) -> None:
    broker.consumed.add("celery")
    observed.enter(verdict.DISCONNECTED)
    assert ask() == STALE / 2
    assert broker.asked == 0
