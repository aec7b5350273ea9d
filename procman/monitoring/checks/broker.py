"""PM304 and PM501 to PM504: the broker, as a connection to it found it, or else as the heartbeats tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from procman.agent.verdict import CONSUMING, DISCONNECTED
from procman.model import Kind, Level, Result
from procman.monitoring.checks.inputs import ProjectSnapshot

if TYPE_CHECKING:
    from procman.probes.broker import BrokerFacts

CREDENTIALS = ("password", "vhost")
"""The troubles that PM502 is about; PM501 is about all others."""


def check_queues(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether somebody consumes each queue of the workers (PM304); only where the broker was asked."""
    has_workers = any(each.program.kind is Kind.WORKER for each in running.up)
    for queue in running.broker.queues if running.broker and has_workers else ():
        values = {f"messages_{queue.name}": float(queue.messages)} if queue.messages is not None else {}
        if queue.consumers != 0:
            yield Result("PM304", None, Level.OK, "", "", values)
            continue
        level = Level.CRITICAL if queue.messages else Level.WARNING
        waiting = f", and {queue.messages} messages wait" if queue.messages else ""
        hint = "procman status; a worker for it is one that lists it in `queues`"
        yield Result("PM304", None, level, f"the queue {queue.name} has no consumer{waiting}", hint, values)


def check_reachable(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether the broker can be reached (PM501)."""
    if running.broker:
        yield _reached(running.broker)
    elif running.broker_problem:
        yield Result("PM501", None, Level.UNKNOWN, "the broker could not be asked: " + running.broker_problem)
    else:
        yield from _told_by_workers(running)


def _reached(facts: BrokerFacts) -> Result:
    where = f"the broker at {facts.url}"
    if facts.reachable is None:
        return Result("PM501", None, Level.UNKNOWN, f"the broker could not be asked: {facts.detail}", facts.remedy)
    if facts.reachable or facts.trouble in CREDENTIALS:
        return Result("PM501", None, Level.OK, f"{where} answers", "", {"broker_up": 1.0})
    said = {"dns": "its host's name is not known", "timeout": "it does not answer", "refused": "it is not there"}
    words = said.get(facts.trouble, "no connection")
    detail = f"{where} cannot be used: {words} ({facts.detail})"
    return Result("PM501", None, Level.CRITICAL, detail, facts.remedy, {"broker_up": 0.0})


def _told_by_workers(running: ProjectSnapshot) -> Iterator[Result]:
    phases = [each.says["phase"] for each in running.up if each.program.kind is Kind.WORKER and each.says]
    if CONSUMING in phases:
        yield Result("PM501", None, Level.OK, "workers are connected to it", "", {"broker_up": 1.0})
    elif DISCONNECTED in phases:
        detail = "no worker has a connection to the broker"
        yield Result("PM501", None, Level.WARNING, detail, "procman health --probe says why.", {"broker_up": 0.0})


def check_credentials(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether the broker takes user, password and virtual host (PM502); only where it was asked."""
    facts = running.broker
    if not facts or (facts.reachable is not True and facts.trouble not in CREDENTIALS):
        return
    if facts.reachable:
        yield Result("PM502", None, Level.OK, "")
        return
    what = "user or password" if facts.trouble == "password" else "virtual host"
    detail = f"the broker at {facts.url} refuses the {what} of the app ({facts.detail})"
    yield Result("PM502", None, Level.CRITICAL, detail, facts.remedy)


def check_default_credentials(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether the app uses guest/guest with a broker elsewhere (PM503); only where it was asked."""
    facts = running.broker
    if not facts or facts.transport != "amqp":
        return
    if not facts.default_credentials or is_here(facts.host):
        yield Result("PM503", None, Level.OK, "")
        return
    detail = f"the app logs in to {facts.host} as guest with the password guest, which everybody knows"
    hint = "rabbitmqctl add_user NAME; write its name and password into the app's broker URL"
    yield Result("PM503", None, Level.WARNING, detail, hint)


def is_here(host: str) -> bool:
    """Say whether HOST, a name or an address, is plainly this host."""
    # Only after the broker was asked: what nobody needs every minute is not imported.
    import ipaddress
    import socket

    if host in ("", "localhost", socket.gethostname()) or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_alarms(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield the alarms of RabbitMQ (PM504); only where its management interface is configured and was asked.

    While one is raised whoever sends is blocked, although everything seems to be up.
    """
    facts = running.broker
    if not facts or not running.manifest.health.management_url:
        return
    if facts.management_problem:
        detail = f"{running.manifest.health.management_url} gave no answer: {facts.management_problem}"
        hint = "rabbitmq-plugins enable rabbitmq_management; rabbitmqctl set_user_tags USER monitoring"
        yield Result("PM504", None, Level.WARNING, detail, hint)
    elif facts.alarms:
        detail = f"RabbitMQ has raised an alarm and blocks whoever sends: {', '.join(facts.alarms)}"
        hint = "rabbitmq-diagnostics alarms; free memory or disk space on the broker's host"
        yield Result("PM504", None, Level.CRITICAL, detail, hint)
    elif facts.alarms is not None:
        yield Result("PM504", None, Level.OK, "")
