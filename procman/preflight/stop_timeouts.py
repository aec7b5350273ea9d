"""PM76x: how long a stop waits, against how long tasks may take and how long the broker waits for them."""

from __future__ import annotations

from collections.abc import Iterator

from procman.model import Kind, Level, Result
from procman.preflight.broker import is_amqp
from procman.preflight.inputs import AppAnswer, PreflightFacts
from procman.project import Program, Worker

CONSUMER_TIMEOUT_SECONDS = 1800
"""RabbitMQ 3.8.17 and later: a message that is not acknowledged by then closes the channel (`consumer_timeout`)."""


def stop_waits_for_tasks(preflight: PreflightFacts) -> Iterator[Result]:
    """A stop waits at least as long as a task may take."""
    for program, each in _workers(preflight):
        limit = time_limit(program, each)
        if limit is not None and limit > program.stop_timeout_seconds:
            detail = (
                f"a task may take {limit:g} s (time limit), and a stop kills it after {program.stop_timeout_seconds} s"
            )
            hint = f"stop_timeout_seconds = {int(limit) + 20} in [{program.key}], or a shorter time limit."
            yield Result("PM761", program.name, Level.WARNING, detail, hint)


def broker_waits_for_tasks(preflight: PreflightFacts) -> Iterator[Result]:
    """RabbitMQ waits at least as long for an acknowledgement as a task may take."""
    for program, each in _workers(preflight):
        if each is None or each.app is None or not is_amqp(each) or not each.app.options.get("task_acks_late"):
            continue
        longest = time_limit(program, each) or program.stop_timeout_seconds
        if longest > CONSUMER_TIMEOUT_SECONDS:
            detail = (
                f"tasks may take {longest:g} s and are acknowledged at their end (task_acks_late), but RabbitMQ takes "
                f"a message back after {CONSUMER_TIMEOUT_SECONDS} s: the worker then ends, and the task is run again"
            )
            hint = f"consumer_timeout = {int(longest) * 1000 + 600_000} in rabbitmq.conf, or shorter tasks."
            yield Result("PM762", program.name, Level.WARNING, detail, hint)


def time_limit(program: Program, each: AppAnswer | None) -> float | None:
    """Return the seconds after which a task is killed; None: never."""
    own = program.options.time_limit_seconds if isinstance(program.options, Worker) else None
    app = each.app.options.get("task_time_limit") if each and each.app else None
    return own if own is not None else (float(app) if isinstance(app, int | float) and app else None)


def _workers(preflight: PreflightFacts) -> Iterator[tuple[Program, AppAnswer | None]]:
    return ((program, preflight.answer(program)) for program in preflight.of_kind(Kind.WORKER))
