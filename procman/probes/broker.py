"""Asks the broker of a project's app whether it takes a worker, on the project's Python (broker_script.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procman.probes import broker_script
from procman.probes.runner import AppError, Place, ask_project
from procman.secrets import masked

TIMEOUT_SECONDS = 15.0
KILLED_AFTER_SECONDS = 3.0
"""How much later the whole probe is killed, should it not end by itself."""

REMEDIES = {
    "refused": "Start the broker, or mend the host and port in the app's broker URL.",
    "dns": "Mend the host's name in the app's broker URL, or the name server's answer: getent hosts NAME.",
    "password": "Mend user and password in the app's broker URL; `rabbitmqctl list_users` shows who is known.",
    "vhost": "Mend the virtual host in the app's broker URL, or: rabbitmqctl add_vhost, rabbitmqctl set_permissions.",
    "timeout": "Look whether the broker answers at all, and at firewalls between here and there.",
    "unreachable": "Look at the network between here and the broker.",
    "closed": "Mend the port in the app's broker URL: what listens there is no such broker.",
    "tls": "Mend certificates and the TLS options of the app's broker settings.",
    "module": "Install the client library of the broker into the virtualenv.",
    "settings": "Mend the app's broker URL; special characters of a password have to be percent-encoded.",
    "transport": "Mend what stands before :// in the app's broker URL: amqp, redis, sqs...",
    "import": "Load the app by hand, as its user: procman run.",
    "other": "Read the program's log: procman logs.",
}
"""What to do about each kind of trouble."""


@dataclass(frozen=True)
class QueueFacts:
    """A queue as the broker has it; None: it does not exist, or this broker cannot tell."""

    name: str
    messages: int | None
    consumers: int | None


@dataclass(frozen=True)
class BrokerFacts:
    """What a connection to the app's broker brought; no secret is among it (S2)."""

    reachable: bool | None
    """None: the app could not be loaded in time, and so nobody knows."""
    trouble: str
    """A key of REMEDIES, or empty."""
    detail: str
    """What the server or the operating system said about it."""
    url: str = ""
    """Without its password."""
    transport: str = ""
    """amqp, redis, sql, filesystem ..."""
    host: str = ""
    user: str | None = None
    default_credentials: bool = False
    """guest, with guest for a password."""
    queues: tuple[QueueFacts, ...] = ()
    seconds: float = 0.0
    alarms: tuple[str, ...] | None = None
    """As RabbitMQ's management interface has them: `memory on rabbit@host`; None: not asked, or no answer."""
    management_problem: str = ""
    """Why the management interface gave no answer."""

    @property
    def remedy(self) -> str:
        """Return what to do about the trouble; empty where there is none."""
        return REMEDIES.get(self.trouble, REMEDIES["other"]) if self.trouble else ""


def ask_broker(
    place: Place,
    app: str,
    *,
    queues: Sequence[str] = (),
    management_url: str | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> BrokerFacts:
    """Connect to the broker of `app` as a worker would, and return what came of it, within `timeout` seconds and a few.

    Nothing is declared or consumed. `queues` names those to look at; none means those a worker consumes that is not
    told. Raises what `ask_project` does; a broker that does not take us is an answer.
    """
    asked = json.dumps({"queues": list(queues), "management": management_url, "seconds": timeout})
    source = Path(broker_script.__file__)
    answer = ask_project(place, app, source, [asked], timeout=timeout + KILLED_AFTER_SECONDS)
    try:
        return _facts(answer)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AppError(f"{app}: the answer about the broker cannot be understood ({error!r})") from None


def _facts(answer: Mapping[str, Any]) -> BrokerFacts:
    management: Mapping[str, Any] | None = answer.get("management")
    reachable = answer["reachable"]
    return BrokerFacts(
        reachable=reachable if reachable is None else bool(reachable),
        trouble="import" if answer["stage"] == "importing" else str(answer.get("trouble", "")),
        detail=_detail(answer),
        url=masked(str(answer.get("url", ""))),
        transport=str(answer.get("transport", "")),
        host=str(answer.get("host", "")),
        user=None if answer.get("user") is None else str(answer["user"]),
        default_credentials=bool(answer.get("default_credentials")),
        queues=tuple(QueueFacts(str(each["name"]), each["messages"], each["consumers"]) for each in answer["queues"]),
        seconds=float(answer["seconds"]),
        alarms=tuple(map(str, management["alarms"])) if management and not management["problem"] else None,
        management_problem=masked(str(management["problem"])) if management else "",
    )


def _detail(answer: Mapping[str, Any]) -> str:
    detail = masked(str(answer.get("detail", "")))
    if answer["stage"] != "importing":
        return detail
    if answer.get("trouble") == "timeout":
        return "the app was still being imported when the time was up; it may itself wait for the broker or a database"
    return f"the app cannot be loaded ({detail})"
