"""What becomes of an interrupted task follows from its acknowledgement, its progress and its broker."""

from __future__ import annotations

import pytest

from procman.agent.task_record import BEGUN, FINISHED, WAITING, RunningTask, TaskRecord
from procman.monitoring.task_outcome import Fate, Outcome, fate_of
from tests.tables import for_each

EARLY = RunningTask("a", "shop.crop", 120.0, 1000.0, 7, progress=BEGUN)
LATE = EARLY._replace(acks_late=True)
UNACKNOWLEDGED = EARLY._replace(is_unacknowledged=True)
RECORD = TaskRecord("boot", 5, 100.0, 900.0)
RABBITMQ, REDIS = RECORD._replace(transport="amqp"), RECORD._replace(transport="redis", visibility_seconds=3600.0)


@for_each(
    ("task", "record", "fate"),
    [
        (LATE, RABBITMQ, Fate(Outcome.REDELIVERED, "RabbitMQ")),
        (LATE, REDIS, Fate(Outcome.REDELIVERED, "Redis", 4600.0)),
        (LATE._replace(progress=FINISHED), REDIS, Fate(Outcome.REDELIVERED, "Redis", 4600.0)),
        (LATE, RECORD, Fate(Outcome.REDELIVERED)),
        (LATE, RECORD._replace(transport="filesystem"), Fate(Outcome.GONE)),
        (LATE._replace(progress=""), RECORD._replace(transport="filesystem"), Fate(Outcome.MAY_HAVE_FINISHED)),
        (LATE._replace(progress=WAITING), RECORD._replace(transport="filesystem"), Fate(Outcome.NOT_BEGUN)),
        (EARLY, RABBITMQ, Fate(Outcome.GONE)),
        (EARLY, REDIS, Fate(Outcome.GONE)),
        (EARLY._replace(progress=WAITING), REDIS, Fate(Outcome.NOT_BEGUN)),
        (EARLY._replace(progress=FINISHED), REDIS, Fate(Outcome.MAY_HAVE_FINISHED)),
        (EARLY._replace(progress=""), REDIS, Fate(Outcome.MAY_HAVE_FINISHED)),
        # The broker did not know yet that Celery had acknowledged it.
        (UNACKNOWLEDGED, RABBITMQ, Fate(Outcome.REDELIVERED, "RabbitMQ")),
        (UNACKNOWLEDGED, REDIS, Fate(Outcome.REDELIVERED, "Redis", 4600.0)),
        (EARLY._replace(may_be_acknowledged=True), RABBITMQ, Fate(Outcome.MAY_HAVE_FINISHED)),
        (UNACKNOWLEDGED, RECORD._replace(transport="filesystem"), Fate(Outcome.GONE)),
    ],
)
def test_outcome_follows_from_acknowledgement_progress_and_broker(
    task: RunningTask, record: TaskRecord, fate: Fate
) -> None:
    assert fate_of(task, record) == fate


def test_handed_back_task_is_the_one_that_the_worker_names() -> None:
    assert fate_of(LATE, REDIS, handed_back={"a"}) == Fate(Outcome.HANDED_BACK, "Redis")
    assert fate_of(LATE, RABBITMQ, handed_back={"b"}).outcome is Outcome.REDELIVERED
    # An event names the lost tasks as well.
    assert fate_of(EARLY, RABBITMQ, handed_back={"a"}).outcome is Outcome.GONE


def test_old_record_does_not_show_whether_a_message_was_acknowledged() -> None:
    assert fate_of(UNACKNOWLEDGED, RABBITMQ, is_certain=False).outcome is Outcome.MAY_HAVE_FINISHED


@pytest.mark.parametrize("progress", [WAITING, BEGUN])
def test_task_may_have_finished_where_its_process_lives_on_or_its_record_is_old(progress: str) -> None:
    task = EARLY._replace(progress=progress)
    assert fate_of(task, RABBITMQ, runs_on=True).outcome is Outcome.MAY_HAVE_FINISHED
    assert fate_of(task, RABBITMQ, is_certain=False).outcome is Outcome.MAY_HAVE_FINISHED
