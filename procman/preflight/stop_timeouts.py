"""PM76x: whether a stop waits for running tasks, and whether the services that they need stay up until then."""

from __future__ import annotations

import json
from collections.abc import Iterator

from procman.host.stop_order import remedy_for, too_early
from procman.model import Kind, Level, Result
from procman.monitoring.checks.redelivery import consumer_timeout_remedy, queue_timeout, visibility_remedy
from procman.preflight.broker import is_amqp
from procman.preflight.inputs import AppAnswer, PreflightFacts
from procman.probes.app import Judged
from procman.project import Program, Worker

CONSUMER_TIMEOUT_SECONDS = 1800
"""RabbitMQ 3.8.17 and later closes the channel if a message is not acknowledged by then (`consumer_timeout`)."""


def stop_waits_for_tasks(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM761."""
    for program, each in _workers(preflight):
        limit = time_limit(program, each)
        handback = _handback_seconds(program, each)
        if limit is not None and limit > program.stop_timeout_seconds - handback:
            ends = "ends it and hands it back, to run again," if handback else "kills it"
            detail = (
                f"a task may take {limit:g} s (its time limit), but a stop {ends} after "
                f"{program.stop_timeout_seconds - handback:g} s"
            )
            seconds = int(limit) + int(handback) + 20
            hint = f"Set stop_timeout_seconds = {seconds} in [{program.key}], or a shorter time limit."
            yield Result("PM761", program.name, Level.WARNING, detail, hint)


def broker_waits_for_tasks(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM762: RabbitMQ waits for an acknowledgement as long as a task may take."""
    for program, each in _workers(preflight):
        longest, wait = longest_task(program, each), _consumer_timeout(program, each)
        if each and is_amqp(each) and longest is not None and wait is not None and longest > wait:
            detail = (
                f"tasks may take {longest:g} s, but RabbitMQ requeues a message after {wait:g} s without an "
                "acknowledgement, even one that only waits behind such a task: the worker then exits, and the task "
                "runs again"
            )
            yield Result("PM762", program.name, Level.WARNING, detail, consumer_timeout_remedy(longest))


def _consumer_timeout(program: Program, each: AppAnswer | None) -> float | None:
    """Return RabbitMQ's shortest consumer timeout for the queues of a worker; None: unknown.

    With acks_late, every message waits for the end of its task, and RabbitMQ's default is taken if it is unknown.
    """
    queues = each.judged.get(program.name, Judged()).queues if each else None
    known = queue_timeout(each.broker, queues) if each and queues else None
    is_late = bool(each and each.app and each.app.options.get("task_acks_late"))
    return CONSUMER_TIMEOUT_SECONDS if known is None and is_late else known


def visibility_covers_tasks(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM784: kombu waits for an acknowledgement as long as a task may take."""
    for program, each in _workers(preflight):
        wait, limit = each.broker.visibility_seconds if each and each.broker else None, time_limit(program, each)
        if wait is not None and limit is not None and limit > wait:
            detail = (
                f"a task may take {limit:g} s (its time limit), but a message is delivered again after {wait:g} s "
                "without an acknowledgement (visibility_timeout), even one that only waits behind such a task: it then "
                "runs twice"
            )
            yield Result("PM784", program.name, Level.WARNING, detail, visibility_remedy(limit))


def services_stop_last(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM763: at a shutdown, the database, cache and broker on this host stop after the programs."""
    order, project = preflight.host.stop_order, preflight.project
    if order is None:
        return
    missing = {unit: uses for unit, uses in preflight.local_units.items() if unit not in order.units}
    # PM773 covers the units that `after` names without effect.
    new = [unit for unit in missing if unit not in project.after]
    if new:
        shown = [f"{unit} ({', '.join(missing[unit])})" for unit in new]
        key = f"Set after = {json.dumps([*project.after, *new])} in [project]."
        hint = key if order.uses_after else f"{key if order.remedy else ''} {remedy_for(new, order)}".strip()
        yield Result("PM763", None, Level.WARNING, too_early(shown), hint)
    elif preflight.local_units and not missing:
        shown = [*preflight.local_units]
        yield Result("PM763", None, Level.OK, f"{', '.join(shown)} stop after the programs")


def time_limit(program: Program, each: AppAnswer | None) -> float | None:
    """Return the seconds after which a task is killed; None: no limit."""
    own = program.options.time_limit_seconds if isinstance(program.options, Worker) else None
    app = each.app.options.get("task_time_limit") if each and each.app else None
    return own if own is not None else (float(app) if isinstance(app, int | float) and app else None)


def _handback_seconds(program: Program, each: AppAnswer | None) -> float:
    """Return how long before the end of its stop timeout a worker ends tasks, if the app acknowledges them late."""
    is_late = bool(each and each.app and each.app.options.get("task_acks_late"))
    if not is_late or not isinstance(program.options, Worker) or not program.launcher:
        return 0.0
    return min(program.options.handback_seconds, program.stop_timeout_seconds / 2)


def longest_task(program: Program, each: AppAnswer | None) -> float | None:
    """Return how many seconds a task may take; None: unknown, and its message is acknowledged at its start."""
    limit = time_limit(program, each)
    if limit is None and each and each.app and each.app.options.get("task_acks_late"):
        return float(program.stop_timeout_seconds)
    return limit


def _workers(preflight: PreflightFacts) -> Iterator[tuple[Program, AppAnswer | None]]:
    return ((program, preflight.answer(program)) for program in preflight.of_kind(Kind.WORKER))
