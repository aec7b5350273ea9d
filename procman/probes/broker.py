"""Check on the project's Python whether a worker could use the broker of the project's app (broker_script.py)."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procman.probes import broker_origin_script, broker_script
from procman.probes.broker_remedies import remedy_for
from procman.probes.runner import AppError, Place, ask_project
from procman.secrets import KnownSecrets, masked

TIMEOUT_SECONDS = 15.0
KILLED_AFTER_SECONDS = 3.0
"""How much later the whole probe is killed if it has not exited by itself."""


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
    """A key of `broker_remedies.REMEDIES`, or empty."""
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
    origin: str = ""
    """Where its URL is set, such as `CELERY_BROKER_URL in /etc/shop/celery.env`; empty: unknown."""

    @property
    def remedy(self) -> str:
        """Return how to fix the trouble; empty if there is none."""
        return remedy_for(self.trouble, self.transport, self.origin, is_here=is_here(self.host))


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
    source = [Path(str(module.__file__)) for module in (broker_origin_script, broker_script)]
    answer = ask_project(place, app, source, [asked], timeout=timeout + KILLED_AFTER_SECONDS)
    try:
        return _facts(answer, place)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AppError(f"{app}: the answer about the broker is invalid: {error!r}") from None


def is_here(host: str) -> bool:
    """Return whether `host`, a name or an address, is certainly this host."""
    if host in ("", "localhost", socket.gethostname()) or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _facts(answer: Mapping[str, Any], place: Place) -> BrokerFacts:
    secrets = place.secrets
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
        origin=_origin(answer.get("origin") or {}, place),
    )


def _origin(found: Mapping[str, Any], place: Place) -> str:
    """Return where the broker's URL is set, in a form that an administrator can open."""
    variable = found.get("variable")
    if variable is not None:
        return place.origin_of(str(variable))
    if not found.get("file"):
        return ""
    line = f":{int(found['line'])}" if found.get("line") else ""
    return f"{found['setting']} in {found['file']}{line}"


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
