"""Decide what becomes of the tasks that ran in a worker when it was killed; without a look at any file or process."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import NamedTuple

from procman.agent.task_record import FINISHED, WAITING, RunningTask, TaskRecord

BROKERS = {"amqp": "RabbitMQ", "redis": "Redis", "sqs": "Amazon SQS"}
"""The names of brokers that deliver an unacknowledged message again, by kombu's name of the transport."""
AT_ONCE = ("amqp",)
"""The transports whose broker does so as soon as the connection of the worker is gone."""


class Outcome(Enum):
    """What becomes of a task."""

    REDELIVERED = "redelivered"
    SENT_AGAIN = "sent again"
    HANDED_BACK = "handed back"
    GONE = "gone"
    MAY_HAVE_FINISHED = "may have finished"
    NOT_BEGUN = "had not begun"


class Fate(NamedTuple):
    """What becomes of a task, by whom, and when."""

    outcome: Outcome
    by: str = ""
    """The name of the broker that delivers it again; empty if it does not, or if its name is unknown."""
    at: float | None = None
    """When it is delivered again at the latest, in seconds since the epoch; None: at once, or unknown."""


def fate_of(
    task: RunningTask,
    record: TaskRecord,
    *,
    handed_back: Collection[str] = (),
    runs_on: bool = False,
    is_certain: bool = True,
) -> Fate:
    """Return what becomes of `task`, whose worker ended without reporting its end.

    `runs_on`: the pool process that ran it is still alive. `is_certain`: the record shows the last moment of the
    worker, as after anything but a crash of the host.
    """
    name = BROKERS.get(record.transport, "")
    # Whether the broker knows of its acknowledgement cannot be known.
    if task.may_be_acknowledged and name:
        return Fate(Outcome.MAY_HAVE_FINISHED)
    is_held = task.acks_late or (task.is_unacknowledged and is_certain)
    # Other transports of kombu keep unacknowledged messages in the worker's memory.
    if not is_held or (record.transport and not name):
        return Fate(_of_acknowledged(task, runs_on=runs_on, is_certain=is_certain))
    if task.acks_late and task.id in handed_back and not task.is_cut:
        return Fate(Outcome.HANDED_BACK, name)
    if record.transport in AT_ONCE or record.visibility_seconds is None:
        return Fate(Outcome.REDELIVERED, name)
    return Fate(Outcome.REDELIVERED, name, task.started_wall + record.visibility_seconds)


def _of_acknowledged(task: RunningTask, *, runs_on: bool, is_certain: bool) -> Outcome:
    # If its body has ended, its result may be stored or not.
    if runs_on or not is_certain or task.progress in ("", FINISHED):
        return Outcome.MAY_HAVE_FINISHED
    return Outcome.NOT_BEGUN if task.progress == WAITING else Outcome.GONE
