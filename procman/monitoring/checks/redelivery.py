"""PM511: whether the broker waits as long for an acknowledgement as tasks take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from procman.agent.verdict import format_duration
from procman.model import Kind, Level, Result
from procman.monitoring.checks.held_messages import queues_of
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

if TYPE_CHECKING:
    from procman.probes.broker_facts import BrokerFacts

SPARE_SECONDS = 600
"""How much longer than the longest task a remedy makes the broker wait."""


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether each worker's broker waits longer than its longest task seen and its hard time limit."""
    for snapshot in running.up:
        if snapshot.program.kind is Kind.WORKER and snapshot.says:
            yield from _judge(snapshot, running.broker)


def _judge(snapshot: ProgramSnapshot, facts: BrokerFacts | None) -> Iterator[Result]:
    says, name = snapshot.says, snapshot.program.name
    visibility = says["visibility_seconds"]
    wait = visibility if visibility is not None else queue_timeout(facts, queues_of(says))
    if wait is None:
        return
    seconds, what = longest(says)
    if seconds <= wait:
        yield Result("PM511", name, Level.OK, "")
        return
    detail = (
        f"{what}, but the broker delivers an unacknowledged message again after {format_duration(wait)}: a task with "
        "acks_late, and one that is reserved behind a long task, then runs twice"
    )
    hint = visibility_remedy(seconds) if visibility is not None else consumer_timeout_remedy(seconds)
    yield Result("PM511", name, Level.WARNING, detail, hint)


def longest(says: Mapping[str, Any]) -> tuple[float, str]:
    """Return how long a task of a worker may take, or has taken, and that in words."""
    seen = max((says["written"] - task["since"] for task in says["tasks"] if task["since"] is not None), default=0.0)
    seen = max(seen, says.get("longest_task_seconds") or 0.0)
    limit = says["time_limit"] or 0.0
    if limit >= seen:
        return limit, f"its tasks may take {format_duration(limit)} (the hard time limit)"
    return seen, f"a task of it has taken {format_duration(seen)}"


def queue_timeout(facts: BrokerFacts | None, names: Iterable[str]) -> float | None:
    """Return RabbitMQ's shortest consumer timeout for the queues `names`; None: unknown."""
    if facts is None:
        return None
    own = {queue.name: queue.state.consumer_timeout_seconds for queue in facts.queues if queue.state}
    times = [own.get(name) or facts.server_timeout for name in names]
    known = [each for each in times if each is not None]
    return min(known) if known and len(known) == len(times) else None


def visibility_remedy(seconds: float) -> str:
    """Return how to make kombu wait longer than `seconds`."""
    return (
        f"Set 'visibility_timeout': {int(seconds) + SPARE_SECONDS} in broker_transport_options of the app, "
        "then procman restart; or set a shorter time limit"
    )


def consumer_timeout_remedy(seconds: float) -> str:
    """Return how to make RabbitMQ wait longer than `seconds`."""
    milliseconds = (int(seconds) + SPARE_SECONDS) * 1000
    return (
        f"Set consumer_timeout = {milliseconds} in rabbitmq.conf, then restart RabbitMQ or: "
        f"rabbitmqctl eval 'application:set_env(rabbit, consumer_timeout, {milliseconds}).'"
    )
