"""Suggest `management_url`, where RabbitMQ's management interface answers."""

from __future__ import annotations

from collections.abc import Callable

from procman.errors import ProcmanError
from procman.init.draft import Draft
from procman.probes.app import AppFacts
from procman.probes.broker_facts import BrokerFacts

PLAIN, ENCRYPTED = ("amqp", "pyamqp"), ("amqps",)

REMARK = "RabbitMQ's management interface answers there, so procman sees its alarms."


def suggest_management_url(draft: Draft, facts: AppFacts, ask: Callable[[str], BrokerFacts]) -> None:
    """Put the URL into `draft` if the interface lets the broker's user read its alarms; warn if only a tag is missing.

    `ask` connects to the broker, and with the same user to the interface at a URL.
    """
    url = default_url(facts)
    if url is None or draft.get("health", "management_url") is not None:
        return
    try:
        broker = ask(url)
    except ProcmanError:
        return
    if broker.alarms is not None:
        draft.put("health", "management_url", url, REMARK)
        draft.found("management_url", url, "procman sees RabbitMQ's alarms there")
    elif broker.is_refused_by_management:
        draft.warn(
            f"RabbitMQ's management interface at {url} does not show {broker.user} its alarms: "
            f'{broker.management_remedy}, and then write management_url = "{url}" in [health]'
        )


def default_url(facts: AppFacts) -> str | None:
    """Return where the interface of the app's broker is by default; None if the broker is no RabbitMQ.

    The password is sent there: without TLS only if the broker gets it without TLS, too.
    """
    hosts = [each.host for each in facts.services if (each.what, each.kind) == ("broker", "rabbitmq")]
    if not hosts or facts.transport not in (*PLAIN, *ENCRYPTED):
        return None
    host = hosts[0] or "127.0.0.1"
    scheme, port = ("https", 15671) if facts.transport in ENCRYPTED else ("http", 15672)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
