"""PM507, PM509 to PM511, PM514 and PM515: states in which a broker answers, and yet loses or refuses messages.

The faults are found in `BrokerFacts` only, so that `procman check` reports the same before an install.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from procman.model import Level, Result
from procman.monitoring.checks.inputs import ProjectSnapshot

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from procman.probes.broker_facts import BrokerFacts, QueueFacts, QueueState

LIMITED_SINCE = 4
"""The first RabbitMQ whose quorum queues have a delivery limit if none is set."""

DEFAULT_LIMIT = 20

INEQUIVALENT = re.compile(r"inequivalent arg '([^']+)' for queue '[^']*' in vhost '[^']*': (.*)", re.DOTALL)
"""RabbitMQ's answer to a declaration with other arguments than those of the existing queue."""

DECLARED_BY = {
    "x-queue-type": "task_default_queue_type, task_create_missing_queue_type or its queue_arguments",
    "x-max-priority": "task_queue_max_priority or its queue_arguments",
}
"""The settings of the app that decide about an argument."""

SEEN_WITH = "with management_url in [health], procman sees the policy"


class Fault(NamedTuple):
    """A state of the broker that needs attention."""

    level: Level
    detail: str
    hint: str


# RabbitMQ ------------------------------------------------------------------------------------------------------------


def delivery_limits(facts: BrokerFacts) -> Iterator[Fault]:
    """Yield each quorum queue whose messages do not survive 21 restarts of the worker that holds them."""
    for queue, state in _quorum_queues(facts):
        if state.delivery_limit is None and _has_default_limit(facts) and not state.delays_natively:
            detail = (
                f"quorum queue {queue.name} has RabbitMQ's default delivery limit of {DEFAULT_LIMIT}: each restart of "
                "a worker counts for the messages that it holds, such as tasks with an ETA, and at the "
                f"{DEFAULT_LIMIT + 1}st they are dropped"
            )
            hint = "\n".join(
                (
                    f"{_policy(facts, queue.name, {'delivery-limit': -1})}; {SEEN_WITH}",
                    "Or, for a queue that does not exist yet: x-delivery-limit = -1 in its queue_arguments",
                    "Or use a topic exchange, so that RabbitMQ keeps tasks until their ETA: procman explain PM507",
                )
            )
            yield Fault(Level.WARNING, detail, hint)


def missing_dead_letters(facts: BrokerFacts) -> Iterator[Fault]:
    """Yield each quorum queue that drops the message of a task that keeps killing its worker."""
    for queue, state in _quorum_queues(facts) if facts.acks_late else ():
        limit = DEFAULT_LIMIT if state.delivery_limit is None and _has_default_limit(facts) else state.delivery_limit
        if limit is not None and limit >= 0 and not state.has_dead_letters:
            detail = (
                f"quorum queue {queue.name} has a delivery limit of {limit} and no dead-letter exchange: with "
                "acks_late, a task that keeps killing its worker is dropped without a trace"
            )
            yield Fault(Level.WARNING, detail, _dead_letter_remedy(facts, queue.name, limit))


def _dead_letter_remedy(facts: BrokerFacts, name: str, limit: int) -> str:
    # Only one policy applies to a queue.
    definition = {"delivery-limit": limit, "dead-letter-exchange": "", "dead-letter-routing-key": f"{name}.dead"}
    return "\n".join(
        (
            f"Declare a queue {name}.dead, then: {_policy(facts, name, definition)}; {SEEN_WITH}",
            "Or, for a queue that does not exist yet: x-dead-letter-exchange in its queue_arguments",
        )
    )


def _quorum_queues(facts: BrokerFacts) -> Iterator[tuple[QueueFacts, QueueState]]:
    return ((queue, queue.state) for queue in facts.queues if queue.state and queue.state.is_quorum)


def _has_default_limit(facts: BrokerFacts) -> bool:
    major = facts.version.partition(".")[0]
    return major.isdecimal() and int(major) >= LIMITED_SINCE


def _policy(facts: BrokerFacts, queue: str, definition: dict[str, object]) -> str:
    words = [queue, f"^{re.escape(queue)}$", json.dumps(definition), "--apply-to", "quorum_queues"]
    return f"rabbitmqctl set_policy{_vhost_option(facts)} {_quoted(*words)}"


def other_arguments(facts: BrokerFacts) -> Iterator[Fault]:
    """Yield each queue that exists with other arguments than the app declares."""
    for queue in facts.queues:
        if queue.state and queue.state.refused:
            found = INEQUIVALENT.search(queue.state.refused)
            argument, difference = found.groups() if found else ("", queue.state.refused)
            what = f"another value of {argument}" if argument else "other arguments"
            detail = (
                f"queue {queue.name} exists with {what} than the app declares ({difference}): its worker exits at its "
                "start"
            )
            where = DECLARED_BY.get(argument, "its queue_arguments in task_queues")
            hint = (
                f"Declare it as it exists ({where}); or, if its messages may go: procman stop, "
                f"rabbitmqctl delete_queue{_vhost_option(facts)} {_quoted(queue.name)}, procman start"
            )
            yield Fault(Level.CRITICAL, detail, hint)


def _vhost_option(facts: BrokerFacts) -> str:
    from urllib.parse import unquote  # only for a fault, as below

    vhost = unquote(_parts(facts.url).path[1:]) or "/"
    return "" if vhost == "/" else f" --vhost {_quoted(vhost)}"


def _quoted(*words: str) -> str:
    """Return words for a shell: root may type what the app has named."""
    import shlex

    return shlex.join(words)


def denied_features(facts: BrokerFacts) -> Iterator[Fault]:
    """Yield the deprecated feature that the project's Celery needs and RabbitMQ denies."""
    if facts.denied_feature:
        name = facts.denied_feature
        detail = (
            f"RabbitMQ {facts.version} denies the deprecated feature {name}, which this version of Celery needs: no "
            f"worker consumes ({facts.denied_reason})"
        )
        hint = (
            "Upgrade Celery and kombu in the virtualenv (Celery 5.7 needs no deprecated feature); or set "
            f"deprecated_features.permit.{name} = true in rabbitmq.conf and restart RabbitMQ"
        )
        yield Fault(Level.CRITICAL, detail, hint)


def _parts(url: str) -> SplitResult:
    from urllib.parse import urlsplit

    return urlsplit(url)


# Redis ---------------------------------------------------------------------------------------------------------------

REFUSALS = {
    "READONLY": "it is a read-only replica",
    "OOM": "its memory is full",
    "MISCONF": "it cannot save its data to disk",
    "NOPERM": "its user lacks a permission",
    "LOADING": "it is still loading its data",
}
"""By the first word of Redis's answer."""


def redis_refusals(facts: BrokerFacts) -> Iterator[Fault]:
    """Yield why Redis refuses a command that every worker needs."""
    if facts.redis_refusal:
        kind = facts.redis_refusal.partition(" ")[0]
        reason = REFUSALS.get(kind, "its answer is")
        level = Level.WARNING if kind == "LOADING" else Level.CRITICAL
        detail = f"Redis at {facts.url} refuses what a worker must do: {reason} ({facts.redis_refusal})"
        yield Fault(level, detail, _redis_remedy(kind, facts))


def _redis_remedy(kind: str, facts: BrokerFacts) -> str:
    server = _quoted("redis-cli", *_address(facts))
    remedies = {
        "READONLY": f"{server} REPLICAOF NO ONE makes it the primary; or name the primary in "
        f"{facts.origin or 'the broker URL of the app'}",
        "OOM": f"{server} CONFIG SET maxmemory BYTES (0: no limit), and maxmemory in redis.conf",
        "MISCONF": f"Fix the disk or the directory ({server} CONFIG GET dir), then: {server} BGSAVE",
        "NOPERM": f"{server} ACL SETUSER {_quoted(facts.user or 'default')} '~*' '&*' +@all -@dangerous, and the same "
        "in redis.conf or its aclfile",
        "LOADING": f"Wait; {server} INFO persistence shows the progress",
    }
    return remedies.get(kind, "Read Redis's log")


def _address(facts: BrokerFacts) -> tuple[str, ...]:
    if facts.host.startswith("/"):
        return "-s", facts.host
    try:
        host, port = _parts(facts.url).hostname, _parts(facts.url).port
    except ValueError:
        host, port = None, None
    return "-h", host or facts.host or "localhost", "-p", str(port or 6379)


# The checks of a running project -------------------------------------------------------------------------------------


def _check(
    code: str, judge: Callable[[BrokerFacts], Iterable[Fault]], is_known: Callable[[BrokerFacts], bool]
) -> Callable[[ProjectSnapshot], Iterator[Result]]:
    """Return a check that yields each fault, or OK if there is none and the broker has answered about all of it."""

    def check(running: ProjectSnapshot) -> Iterator[Result]:
        # The watcher's look has the brokers of running workers, without what only the app knows.
        brokers = (running.broker,) if running.broker else running.look.brokers if running.look else ()
        answers = [each for each in brokers if each.reachable]
        faults = [Result(code, None, *fault) for facts in answers for fault in judge(facts)]
        is_ok = bool(answers) and not faults and all(map(is_known, answers))
        yield from faults or ([Result(code, None, Level.OK, "")] if is_ok else [])

    return check


def _queues_are_known(facts: BrokerFacts) -> bool:
    return bool(facts.version) and all(queue.state for queue in facts.queues)


check_delivery_limits = _check("PM507", delivery_limits, _queues_are_known)
check_redis = _check("PM509", redis_refusals, lambda facts: facts.redis_refusal is not None)
check_arguments = _check("PM510", other_arguments, _queues_are_known)
check_dead_letters = _check("PM514", missing_dead_letters, _queues_are_known)
check_features = _check("PM515", denied_features, lambda facts: facts.denied_feature is not None)
