"""PM304 and PM501 to PM504: check the broker by a connection to it, or else by what the heartbeats report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from procman.agent.verdict import CONSUMING, DISCONNECTED
from procman.model import Kind, Level, Result
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

if TYPE_CHECKING:
    from procman.probes.broker_facts import BrokerFacts, QueueFacts

CREDENTIALS = ("password", "vhost")
"""The troubles that PM502 reports; PM501 reports all others."""


def check_queues(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether each queue of the workers has a consumer (PM304); only if the broker was queried."""
    queues = running.broker.queues if running.broker else ()
    for queue in queues:
        if not is_desired(running, queues, queue):
            continue
        values = {f"messages_{queue.name}": float(queue.messages)} if queue.messages is not None else {}
        if queue.consumers != 0:
            yield Result("PM304", None, Level.OK, "", "", values)
            continue
        level = Level.CRITICAL if queue.messages else Level.WARNING
        number = "1 message is" if queue.messages == 1 else f"{queue.messages} messages are"
        waiting = f"; {number} waiting" if queue.messages else ""
        hint = f"Start a worker that has {queue.name} in `queues`; procman status shows which run"
        yield Result("PM304", None, level, f"no worker consumes queue {queue.name}{waiting}", hint, values)


def is_desired(running: ProjectSnapshot, queues: Sequence[QueueFacts], queue: QueueFacts) -> bool:
    """Return whether a worker that runs should consume `queue`; PM505 reports the others."""
    workers = {each.program.name for each in running.up if each.program.kind is Kind.WORKER and _may_consume(each)}
    is_known = any(each.programs for each in queues)
    return not workers.isdisjoint(queue.programs) if is_known else bool(workers)


def _may_consume(snapshot: ProgramSnapshot) -> bool:
    """Return whether the broker may know a worker already: one that is importing, or disconnected, has no consumer."""
    return snapshot.is_started and snapshot.says.get("phase", CONSUMING) == CONSUMING


def check_reachable(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether the broker can be reached (PM501)."""
    if running.broker:
        yield _reached(running.broker)
    elif running.broker_problem:
        yield Result("PM501", None, Level.UNKNOWN, "cannot query the broker: " + running.broker_problem)
    else:
        yield from _reported_by_workers(running)


def _reached(facts: BrokerFacts) -> Result:
    # Here, so that health without a probe does not load it.
    from procman.probes.broker_remedies import TROUBLES

    if facts.reachable is None:
        return Result("PM501", None, Level.UNKNOWN, f"cannot query the broker: {facts.detail}", facts.remedy)
    if facts.reachable or facts.trouble in CREDENTIALS:
        return Result("PM501", None, Level.OK, f"{_named(facts)} answers", "", {"broker_up": 1.0})
    reason = TROUBLES.get(facts.trouble, "no connection")
    detail = f"cannot connect to {_named(facts)}: {reason}" + (f" ({facts.detail})" if facts.detail else "")
    return Result("PM501", None, Level.CRITICAL, detail, facts.remedy, {"broker_up": 0.0})


def _named(facts: BrokerFacts) -> str:
    """Return the broker with its URL, which kombu can only show if it has loaded the transport."""
    return f"the broker at {facts.url}" if facts.url else "the broker"


def _reported_by_workers(running: ProjectSnapshot) -> Iterator[Result]:
    phases = [each.says["phase"] for each in running.up if each.program.kind is Kind.WORKER and each.says]
    if CONSUMING in phases:
        yield Result("PM501", None, Level.OK, "workers are connected to the broker", "", {"broker_up": 1.0})
    elif DISCONNECTED in phases:
        detail = "no worker is connected to the broker"
        yield Result("PM501", None, Level.WARNING, detail, "procman health --probe shows why", {"broker_up": 0.0})


def check_credentials(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether the broker accepts user, password and virtual host (PM502); only if it was queried."""
    facts = running.broker
    if not facts or (facts.reachable is not True and facts.trouble not in CREDENTIALS):
        return
    if facts.reachable:
        yield Result("PM502", None, Level.OK, "")
        return
    refused = "user or password" if facts.trouble == "password" else "virtual host"
    detail = f"{_named(facts)} refuses the {refused} of the app ({facts.detail})"
    yield Result("PM502", None, Level.CRITICAL, detail, facts.remedy)


def check_default_credentials(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether the app uses guest/guest with a broker on another host (PM503); only if it was queried."""
    facts = running.broker
    if not facts or facts.transport != "amqp":
        return
    from procman.probes.broker_facts import is_here

    if not facts.default_credentials or is_here(facts.host):
        yield Result("PM503", None, Level.OK, "")
        return
    detail = f"the app connects to {facts.host} with RabbitMQ's default account, guest with the password guest"
    hint = "rabbitmqctl add_user NAME; then use that account in the app's broker URL"
    yield Result("PM503", None, Level.WARNING, detail, hint)


def check_alarms(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield the alarms of RabbitMQ (PM504); only if its management interface is configured and was queried.

    RabbitMQ blocks every publisher while an alarm is raised, although everything seems to run.
    """
    facts = running.broker
    if not facts or not running.manifest.health.management_url:
        return
    if facts.management_problem:
        url = running.manifest.health.management_url
        detail = f"cannot query RabbitMQ's management interface at {url}: {facts.management_problem}"
        yield Result("PM504", None, Level.WARNING, detail, facts.management_remedy)
    elif facts.alarms:
        detail = f"RabbitMQ has raised an alarm and blocks every publisher: {', '.join(facts.alarms)}"
        hint = "rabbitmq-diagnostics alarms; free memory or disk space on the broker's host"
        yield Result("PM504", None, Level.CRITICAL, detail, hint)
    elif facts.alarms is not None:
        yield Result("PM504", None, Level.OK, "")
