"""Check on the project's Python whether a worker could use the broker of the project's app (broker_script.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procman.probes import broker_script
from procman.probes.runner import AppError, Place, ask_project
from procman.secrets import KnownSecrets, masked

TIMEOUT_SECONDS = 15.0
KILLED_AFTER_SECONDS = 3.0
"""How much later the whole probe is killed if it has not exited by itself."""

TROUBLES = {
    "refused": "nothing listens there",
    "dns": "the host name cannot be resolved",
    "password": "it rejects the user or password",
    "vhost": "the virtual host does not exist, or this user has no access to it",
    "timeout": "it does not answer in time",
    "unreachable": "no route to its host",
    "closed": "it closed the connection: the server there is probably not this kind of broker",
    "tls": "the TLS connection failed",
    "module": "its client library is missing",
    "settings": "its URL is invalid",
    "transport": "kombu has no transport of this name",
}
"""What is wrong with the broker, by the kind of trouble; other kinds need its own message."""

REMEDIES = {
    "refused": "Start the broker, or correct the host and port in the app's broker URL.",
    "dns": "Correct the host name in the app's broker URL, or name resolution on this host: getent hosts NAME",
    "password": "Correct user and password in the app's broker URL; `rabbitmqctl list_users` lists the users.",
    "vhost": "Correct the virtual host in the app's broker URL, or: rabbitmqctl add_vhost, rabbitmqctl set_permissions",
    "timeout": "Check whether the broker is running, and the firewalls between this host and the broker.",
    "unreachable": "Check the network between this host and the broker.",
    "closed": "Correct the port in the app's broker URL; the server there is probably not this kind of broker.",
    "tls": "Check the certificates and the TLS options in the app's broker settings.",
    "module": "Install the broker's client library in the virtualenv.",
    "settings": "Correct the app's broker URL; percent-encode the special characters of its password.",
    "transport": "Correct the transport before :// in the app's broker URL: amqp, redis, sqs...",
    "import": "Load the app by hand, as its user: procman run",
    "other": "Read the program's log: procman logs",
}
"""How to fix each kind of trouble."""


@dataclass(frozen=True)
class QueueFacts:
    """A queue on the broker; None: the queue does not exist, or this broker does not report the number."""

    name: str
    messages: int | None
    consumers: int | None


@dataclass(frozen=True)
class BrokerFacts:
    """The result of a connection to the app's broker, without secrets (S2)."""

    reachable: bool | None
    """None: unknown, because the app could not be loaded in time."""
    trouble: str
    """A key of REMEDIES, or empty."""
    detail: str
    """The message of the server or the operating system."""
    url: str = ""
    """Without its password."""
    transport: str = ""
    """amqp, redis, sql, filesystem ..."""
    host: str = ""
    user: str | None = None
    default_credentials: bool = False
    """Whether user and password are both guest."""
    queues: tuple[QueueFacts, ...] = ()
    seconds: float = 0.0
    alarms: tuple[str, ...] | None = None
    """The alarms that RabbitMQ's management interface lists: `memory on rabbit@host`; None: not asked, or no answer."""
    management_problem: str = ""
    """Why the management interface did not answer."""

    @property
    def remedy(self) -> str:
        """Return how to fix the trouble; empty if there is none."""
        return REMEDIES.get(self.trouble, REMEDIES["other"]) if self.trouble else ""


def ask_broker(
    place: Place,
    app: str,
    *,
    queues: Sequence[str] = (),
    management_url: str | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> BrokerFacts:
    """Connect to the broker of `app` as a worker would, and return the result within about `timeout` seconds.

    Nothing is declared or consumed. `queues` names the queues to count; if empty, those that a worker consumes by
    default. Raises what `ask_project` raises; a refused connection is a result, not an error.
    """
    asked = json.dumps({"queues": list(queues), "management": management_url, "seconds": timeout})
    source = Path(broker_script.__file__)
    answer = ask_project(place, app, source, [asked], timeout=timeout + KILLED_AFTER_SECONDS)
    try:
        return _facts(answer, place.secrets)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AppError(f"{app}: the answer about the broker is invalid: {error!r}") from None


def _facts(answer: Mapping[str, Any], secrets: KnownSecrets) -> BrokerFacts:
    management: Mapping[str, Any] | None = answer.get("management")
    reachable = answer["reachable"]
    return BrokerFacts(
        reachable=reachable if reachable is None else bool(reachable),
        trouble="import" if answer["stage"] == "importing" else str(answer.get("trouble", "")),
        detail=_detail(answer, secrets),
        url=masked(str(answer.get("url", ""))),
        transport=str(answer.get("transport", "")),
        host=str(answer.get("host", "")),
        user=None if answer.get("user") is None else str(answer["user"]),
        default_credentials=bool(answer.get("default_credentials")),
        queues=tuple(_queue(each) for each in answer["queues"]),
        seconds=float(answer["seconds"]),
        alarms=tuple(map(str, management["alarms"])) if management and not management["problem"] else None,
        management_problem=secrets.masked(str(management["problem"])) if management else "",
    )


def _queue(found: Mapping[str, Any]) -> QueueFacts:
    return QueueFacts(str(found["name"]), _count(found["messages"]), _count(found["consumers"]))


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _detail(answer: Mapping[str, Any], secrets: KnownSecrets) -> str:
    detail = secrets.masked(str(answer.get("detail", "")))
    if answer["stage"] != "importing":
        return detail
    if answer.get("trouble") == "timeout":
        return "the import of the app exceeded the time limit; it may itself be waiting for the broker or a database"
    return f"the app cannot be loaded ({detail})"
