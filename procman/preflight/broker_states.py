"""PM78x: states in which the broker answers, and yet would lose or refuse messages; as PM507 to PM515 of health."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from procman.model import Level, Result
from procman.monitoring.checks.broker_states import (
    Fault,
    delivery_limits,
    denied_features,
    missing_dead_letters,
    other_arguments,
    redis_refusals,
)
from procman.monitoring.checks.shared_queues import REMEDY, described, shared
from procman.preflight.inputs import PreflightFacts
from procman.probes.broker_facts import BrokerFacts


def _check(code: str, judge: Callable[[BrokerFacts], Iterable[Fault]]) -> Callable[[PreflightFacts], Iterator[Result]]:
    def check(preflight: PreflightFacts) -> Iterator[Result]:
        for each in preflight.asked:
            for fault in judge(each.broker) if each.broker and each.broker.reachable else ():
                yield Result(code, each.name, *fault)

    return check


delivery_limits_last = _check("PM781", delivery_limits)
redis_accepts_commands = _check("PM782", redis_refusals)
arguments_are_equal = _check("PM783", other_arguments)
dead_letters_are_kept = _check("PM786", missing_dead_letters)
features_are_permitted = _check("PM787", denied_features)


def queues_are_own(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM785: no worker of another project on this host consumes a queue of this one."""
    found: dict[str, str] = {}
    for each, app in preflight.loaded():
        for program, judged in each.judged.items():
            for other in preflight.host.workers:
                for queue in shared(set(judged.queues or ()), app.brokers, other):
                    found.setdefault(queue, described(queue, program, other["program"]))
    for _, detail in sorted(found.items()):
        yield Result("PM785", None, Level.WARNING, detail, REMEDY)
