"""The results of a query of a broker: plain records, which health can read without running a probe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QueueState:
    """What RabbitMQ makes of a queue, by its arguments and its policy."""

    refused: str = ""
    """Why it refuses the app's own declaration of the queue, or empty."""
    is_quorum: bool = False
    delivery_limit: int | None = None
    """None: none is set, as far as it is known; -1: unlimited."""
    has_dead_letters: bool = False
    """Whether messages that RabbitMQ gives up go to another exchange."""
    consumer_timeout_seconds: float | None = None
    """None: none is set for this queue, as far as it is known."""
    delays_natively: bool = False
    """Whether RabbitMQ keeps the app's tasks until their ETA, so that no worker holds them."""


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
    state: QueueState | None = None
    """None: not RabbitMQ, or unknown."""


@dataclass(frozen=True)
class TriedUrl:
    """One URL of several that the app has for its broker."""

    url: str
    """Without its password."""
    host: str = ""
    trouble: str = ""
    """As of `BrokerFacts`; empty: it accepts connections."""
    detail: str = ""


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
    version: str = ""
    """Of RabbitMQ; empty for other brokers."""
    visibility_seconds: float | None = None
    """After how long kombu delivers an unacknowledged message again; None with RabbitMQ, where the server does."""
    server_timeout: float | None = None
    """RabbitMQ's consumer timeout in seconds for queues without one of their own; None: unknown."""
    redis_refusal: str | None = None
    """Why Redis refuses a command that every worker needs, or empty; None: another broker, or unknown."""
    denied_feature: str | None = None
    """The deprecated feature that this Celery needs and RabbitMQ denies, or empty; None: another broker, or unknown."""
    denied_reason: str = ""
    """The server's message about it."""
    acks_late: bool = False
    """Whether the app, or a task of it, acknowledges messages after the task."""
    origin: str = ""
    """Where its URL is set, such as `CELERY_BROKER_URL in /etc/shop/celery.env`; empty: unknown."""

    tried: tuple[TriedUrl, ...] = ()
    """Each URL of several, or each Sentinel, that was tried; empty if there is only one, or without the app."""

    def remedy_of(self, tried: TriedUrl) -> str:
        """Return how to fix the trouble of one of several URLs."""
        from procman.probes.broker_remedies import remedy_for

        return remedy_for(tried.trouble, self.transport, self.origin, is_here=is_here(tried.host))

    @property
    def remedy(self) -> str:
        """Return how to fix the trouble; empty if there is none."""
        from procman.probes.broker_remedies import remedy_for  # only for mistakes

        return remedy_for(self.trouble, self.transport, self.origin, is_here=is_here(self.host))

    @property
    def is_refused_by_management(self) -> bool:
        """Return whether the management interface refuses the user whom the broker accepts: it lacks a tag."""
        return self.management_problem.startswith("HTTP status 401")

    @property
    def management_remedy(self) -> str:
        """Return what to type for a management interface that does not answer."""
        import shlex

        if self.is_refused_by_management:
            return f"rabbitmqctl set_user_tags {shlex.quote(self.user or 'USER')} monitoring"
        return "rabbitmq-plugins enable rabbitmq_management, or correct management_url in [health]"


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
