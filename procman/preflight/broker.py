"""PM72x: the connection to the broker, its account, its transport and its queues."""

from __future__ import annotations

from collections.abc import Iterator

from procman.model import Kind, Level, Result, Scope
from procman.preflight.inputs import AppAnswer, PreflightFacts
from procman.probes.broker_facts import BrokerFacts, TriedUrl, is_here
from procman.probes.broker_remedies import TROUBLES

IN_ONE_PROCESS = ("memory", "in-memory", "kombu.transport.memory")
FOR_DEVELOPMENT = ("filesystem", "kombu.transport.filesystem")

LOOK = "Check the broker and the app's broker settings, then run this again."

OWN_ACCOUNT = "Create an account for this project: rabbitmqctl add_user, set_permissions; then delete_user guest."

MOST_QUEUES = 20
"""Queues that are named; an app may define a hundred thousand."""


def broker_accepts_connection(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM721: the broker can be reached, and accepts user, password and virtual host."""
    for each in preflight.asked:
        broker = each.broker
        if each.broker_error:
            yield Result("PM721", each.name, Level.CRITICAL, each.broker_error, LOOK)
        if broker is None or broker.trouble == "module":
            continue
        if broker.tried:
            yield from _each_url(each, broker)
        if broker.reachable:
            detail = f"{_shown(each)} answers in {broker.seconds:.1f} s"
            yield Result("PM721", each.name, Level.OK, detail, values={"seconds": broker.seconds})
        elif each.app and not any(tried.trouble for tried in broker.tried):
            detail = f"cannot connect to {_shown(each)}: {_what(broker)}"
            # The remedy for other troubles names the program's log, which may not exist before the install.
            hint = broker.remedy if broker.trouble in TROUBLES else LOOK
            yield Result("PM721", each.name, Level.CRITICAL, detail, hint)


def _each_url(each: AppAnswer, broker: BrokerFacts) -> Iterator[Result]:
    """Yield the trouble with each of several URLs: a warning if the workers can use another one."""
    for tried in broker.tried:
        if tried.trouble:
            detail = f"cannot connect to {tried.url}, one of {len(broker.tried)} brokers: {_what(tried)}"
            level = Level.WARNING if broker.reachable else Level.CRITICAL
            yield Result("PM721", each.name, level, detail, broker.remedy_of(tried))


def _what(failed: BrokerFacts | TriedUrl) -> str:
    what = TROUBLES.get(failed.trouble, "it cannot be used")
    return what + (f" ({failed.detail})" if failed.detail else "")


def _shown(each: AppAnswer) -> str:
    """Return the app's URL if it has only one; otherwise the one that was tried."""
    urls = each.app.broker_urls if each.app else ()
    return urls[0] if len(urls) == 1 else (each.broker.url if each.broker else "") or "the broker"


def transport_is_installed(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM722: `pip install celery`, for example, installs no client library for Redis."""
    for each, app in preflight.loaded():
        if app.missing_module:
            detail = f"{app.missing_module} is not in the virtualenv, but the transport {app.transport} needs it"
            hint = preflight.install_hint(f"'celery[{app.transport}]'")
            yield Result("PM722", each.name, Level.CRITICAL, detail, hint)


def credentials_are_own(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM723."""
    for each in preflight.asked:
        broker = each.broker
        if broker and broker.default_credentials and not is_here(broker.host):
            detail = f"{broker.url} uses RabbitMQ's default account guest on another host"
            yield Result("PM723", each.name, Level.WARNING, detail, OWN_ACCOUNT)


def local_credentials_are_own(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM727, in system scope: every user of this host can log in as guest."""
    for each in preflight.asked if preflight.project.scope is Scope.SYSTEM else ():
        broker = each.broker
        if broker and broker.reachable and broker.default_credentials and is_here(broker.host):
            detail = (
                f"{broker.url} uses RabbitMQ's default account guest: every user and program of this host can read the "
                "messages and send tasks"
            )
            yield Result("PM727", each.name, Level.WARNING, detail, OWN_ACCOUNT)


def transport_is_for_production(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM724."""
    for each, app in preflight.loaded():
        if app.transport in IN_ONE_PROCESS:
            detail = f"the broker is {app.transport}: no other process receives the messages"
            yield Result("PM724", each.name, Level.CRITICAL, detail, "Use RabbitMQ or Redis.")
        elif app.transport in FOR_DEVELOPMENT and preflight.project.scope is Scope.SYSTEM:
            detail = (
                f"the broker is {app.transport}, made for development: a killed worker loses its running and reserved "
                "tasks"
            )
            yield Result("PM724", each.name, Level.WARNING, detail, "Use RabbitMQ or Redis on a server.")


def management_answers(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM725, only with `management_url` in [health]."""
    url = preflight.project.health.management_url
    for each in preflight.asked if url else ():
        broker = each.broker
        if broker is None or not broker.reachable:
            continue
        if broker.management_problem:
            detail = f"{url}: {broker.management_problem}"
            yield Result("PM725", each.name, Level.WARNING, detail, broker.management_remedy)
        for alarm in broker.alarms or ():
            detail = f"RabbitMQ has an alarm ({alarm}): it blocks all senders until the alarm ends"
            yield Result("PM725", each.name, Level.WARNING, detail, "Free memory or disk on the broker's host.")


def every_queue_is_consumed(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM726: every queue that tasks are sent to has a worker here."""
    workers = preflight.of_kind(Kind.WORKER)
    answers = [(program, preflight.answer(program)) for program in workers]
    if not workers or any(_consumed(program.name, each) is None for program, each in answers):
        return
    consumed = {queue for program, each in answers for queue in _consumed(program.name, each) or ()}
    desired = {queue for _, app in preflight.loaded() for queue in (*app.queues, *app.routed_queues)}
    missing = sorted(desired - consumed)
    for queue in missing[:MOST_QUEUES]:
        hint = f'Add "{queue}" to queues of a worker, unless a worker on another host consumes it.'
        yield Result("PM726", None, Level.WARNING, f"no worker here consumes queue {queue}", hint)
    more = len(missing) - MOST_QUEUES
    if more > 0:
        which = f"{more} more {'queue' if more == 1 else 'queues'}"
        yield Result("PM726", None, Level.WARNING, f"no worker here consumes {which}, such as {missing[-1]}")


def _consumed(program: str, each: AppAnswer | None) -> tuple[str, ...] | None:
    judged = each.judged.get(program) if each else None
    return judged.queues if judged else None


def is_amqp(each: AppAnswer) -> bool:
    """Return whether the broker uses AMQP, and so is almost certainly RabbitMQ."""
    broker: BrokerFacts | None = each.broker
    transport = each.app.transport if each.app else (broker.transport if broker else "")
    return transport.partition("+")[0] in ("amqp", "amqps", "pyamqp", "librabbitmq")
