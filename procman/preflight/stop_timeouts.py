"""PM76x: whether a stop waits for running tasks, and whether the services that they need stay up until then."""

from __future__ import annotations

import json
from collections.abc import Iterator

from procman.host.stop_order import remedy_for, too_early
from procman.model import Kind, Level, Result
from procman.preflight.broker import is_amqp
from procman.preflight.inputs import AppAnswer, PreflightFacts
from procman.project import Program, Worker

CONSUMER_TIMEOUT_SECONDS = 1800
"""RabbitMQ 3.8.17 and later closes the channel if a message is not acknowledged by then (`consumer_timeout`)."""


def stop_waits_for_tasks(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM761."""
    for program, each in _workers(preflight):
        limit = time_limit(program, each)
        if limit is not None and limit > program.stop_timeout_seconds:
            detail = (
                f"a task may take {limit:g} s (its time limit), but a stop kills it after "
                f"{program.stop_timeout_seconds} s"
            )
            hint = f"Set stop_timeout_seconds = {int(limit) + 20} in [{program.key}], or a shorter time limit."
            yield Result("PM761", program.name, Level.WARNING, detail, hint)


def broker_waits_for_tasks(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM762."""
    for program, each in _workers(preflight):
        if each is None or each.app is None or not is_amqp(each) or not each.app.options.get("task_acks_late"):
            continue
        longest = time_limit(program, each) or program.stop_timeout_seconds
        if longest > CONSUMER_TIMEOUT_SECONDS:
            detail = (
                f"tasks may take {longest:g} s and are acknowledged at their end (task_acks_late), but RabbitMQ "
                f"requeues a message after {CONSUMER_TIMEOUT_SECONDS} s: the worker then exits, and the task runs again"
            )
            hint = f"Set consumer_timeout = {int(longest) * 1000 + 600_000} in rabbitmq.conf, or shorten the tasks."
            yield Result("PM762", program.name, Level.WARNING, detail, hint)


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


def _workers(preflight: PreflightFacts) -> Iterator[tuple[Program, AppAnswer | None]]:
    return ((program, preflight.answer(program)) for program in preflight.of_kind(Kind.WORKER))
