"""The results of a query of a broker: plain records, which health can read without running a probe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QueueFacts:
    """A queue on the broker; None: the queue does not exist, or this broker does not report the number."""

    name: str
    messages: int | None
    consumers: int | None
    unacknowledged: int | None = None
    """Messages that a consumer holds: known of RabbitMQ by its management interface, and of Redis."""
    programs: tuple[str, ...] = ()
    """The programs of the project whose records declare it; empty if the app was asked instead."""


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
    programs: tuple[str, ...] = ()
    """The programs of the project that use this broker; empty if the app was asked instead."""
    origin: str = ""
    """Where its URL is set, such as `CELERY_BROKER_URL in /etc/shop/celery.env`; empty: unknown."""

    @property
    def remedy(self) -> str:
        """Return how to fix the trouble; empty if there is none."""
        from procman.probes.broker_remedies import remedy_for  # only for mistakes

        return remedy_for(self.trouble, self.transport, self.origin, is_here=is_here(self.host))


def is_here(host: str) -> bool:
    """Return whether `host`, a name or an address, is certainly this host."""
    # Imported when needed: `status` and `health` seldom ask.
    import ipaddress
    import socket

    if host in ("", "localhost", socket.gethostname()) or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
