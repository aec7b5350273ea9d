"""PM511: a visibility timeout or a consumer timeout that is shorter than the tasks."""

from __future__ import annotations

import time
from typing import Any

import pytest

from procman.model import Level
from procman.monitoring.checks.redelivery import check
from procman.probes.broker_facts import BrokerFacts, QueueFacts, QueueState
from tests.monitoring.checks.records import heartbeat, reported, running, snapshot

QUEUES = [{"name": "crop", "messages": 0, "consumers": 1, "since": None}]


def judged(broker: BrokerFacts | None = None, **changed: Any) -> list[tuple[Level, str, str]]:
    content = heartbeat(**{"queues": QUEUES, **changed})
    return [(each.level, each.detail, each.hint) for each in check(running(snapshot(content), broker=broker))]


def rabbitmq(own: float | None = None, server: float | None = None) -> BrokerFacts:
    queue = QueueFacts("crop", 0, 1, state=QueueState(consumer_timeout_seconds=own))
    return BrokerFacts(True, "", "", transport="amqp", version="4.0.5", queues=(queue,), server_timeout=server)


def test_hard_time_limit_above_the_visibility_timeout_is_a_warning() -> None:
    [(level, detail, hint)] = judged(visibility_seconds=3600, time_limit=7200)
    assert level is Level.WARNING
    assert detail == (
        "its tasks may take 2h (the hard time limit), but the broker delivers an unacknowledged message again after "
        "1h: a task with acks_late, and one that is reserved behind a long task, then runs twice"
    )
    assert "'visibility_timeout': 7800" in hint


def test_task_that_takes_longer_than_the_visibility_timeout_is_a_warning() -> None:
    tasks = [{"name": "crop", "since": time.monotonic() - 4000}]
    [(level, detail, _)] = judged(visibility_seconds=3600, tasks=tasks, busy=1)
    assert (level, detail.partition(",")[0]) == (Level.WARNING, "a task of it has taken 1h6m")


@pytest.mark.parametrize(
    ("broker", "level"),
    [
        (rabbitmq(server=1800), Level.WARNING),
        (rabbitmq(own=1800, server=9000), Level.WARNING),
        (rabbitmq(server=9000), Level.OK),
        (rabbitmq(own=9000, server=1800), Level.OK),
    ],
)
def test_consumer_timeout_of_the_queue_decides_before_that_of_the_server(broker: BrokerFacts, level: Level) -> None:
    [(found, _, hint)] = judged(broker, time_limit=7200)
    assert found is level
    assert level is Level.OK or "consumer_timeout = 7800000 in rabbitmq.conf" in hint


@pytest.mark.parametrize("broker", [None, rabbitmq()])
def test_unknown_consumer_timeout_is_not_judged(broker: BrokerFacts | None) -> None:
    assert judged(broker, time_limit=7200) == []


def test_worker_without_limit_and_long_tasks_is_ok() -> None:
    assert reported(check(running(snapshot(heartbeat(visibility_seconds=3600)))))[0] is Level.OK
