"""How to fix each kind of trouble with a broker, in the words of the broker in use and of the place of its URL."""

from __future__ import annotations

TROUBLES = {
    "refused": "nothing listens there",
    "dns": "the host name cannot be resolved",
    "password": "it rejects the user or password",
    "vhost": "the virtual host does not exist, or this user has no access to it",
    "timeout": "it does not answer in time",
    "unreachable": "no route to its host",
    "closed": "it closed the connection: the server there is probably not this kind of broker",
    "tls": "the TLS connection failed",
    "plain": "it expects no TLS on this port",
    "sentinel-password": "the Sentinel rejects the password in sentinel_kwargs",
    "sentinel-master": "the Sentinel does not know this master_name",
    "module": "its client library is missing",
    "settings": "its URL is invalid",
    "transport": "kombu has no transport of this name",
}
"""What is wrong with the broker, by the kind of trouble; other kinds need its own message."""

REMEDIES = {
    "refused": "Start the broker{service}, or correct the host and port in {origin}",
    "dns": "Correct the host name in {origin}, or name resolution on this host: getent hosts NAME",
    "password": "Correct user and password in {origin}{accounts}",
    "vhost": "Correct the virtual host in {origin}{vhosts}",
    "timeout": "Check whether the broker is running, and the firewalls between this host and the broker",
    "unreachable": "Check the network between this host and the broker",
    "closed": "Correct the port in {origin}; the server there is probably not this kind of broker",
    "tls": "Check the certificates and the TLS options in the app's broker settings",
    "plain": "Correct {origin}: use the port with TLS{tls}, or a URL without TLS{plain}",
    "sentinel-password": "Correct sentinel_kwargs in broker_transport_options, by requirepass in sentinel.conf",
    "sentinel-master": "Correct master_name in broker_transport_options: redis-cli -p 26379 SENTINEL MASTERS",
    "module": "Install the broker's client library in the virtualenv",
    "settings": "Correct {origin}; percent-encode the special characters of its password",
    "transport": "Correct the transport before :// in {origin}: amqp, redis, sqs...",
    "import": "Load the app by hand, as its user: procman run",
    "other": "Read the program's log: procman logs",
}
"""How to fix each kind of trouble; `_OF_BROKER` has the parts that differ by broker."""

_OF_BROKER = {
    "amqp": {
        "service": ": systemctl start rabbitmq-server",
        "accounts": "; `rabbitmqctl list_users` lists the users, `rabbitmqctl change_password USER` sets a password",
        "vhosts": ", or: rabbitmqctl add_vhost, rabbitmqctl set_permissions",
        "tls": " (5671 unless it was changed)",
        "plain": " (amqp://)",
    },
    "redis": {
        "service": ": systemctl start redis-server",
        "accounts": "; `redis-cli ACL LIST` lists the users, requirepass in redis.conf is the password without a user",
        "vhosts": "",
        "tls": " (tls-port in redis.conf)",
        "plain": " (redis://)",
    },
}
"""Commands of each broker, by the kombu transport's `driver_type`."""

ANYWHERE = "the app's broker URL"


def remedy_for(trouble: str, transport: str, origin: str, *, is_here: bool = True) -> str:
    """Return how to fix `trouble`; empty if there is none.

    `transport` is kombu's `driver_type`, such as amqp. `origin` names where the URL is set; empty: unknown. A broker is
    only started with a command of this host if it `is_here`.
    """
    if not trouble:
        return ""
    parts = dict.fromkeys(("service", "accounts", "vhosts", "tls", "plain"), "") | _OF_BROKER.get(transport, {})
    if not is_here:
        parts["service"] = ""
    return REMEDIES.get(trouble, REMEDIES["other"]).format(origin=origin or ANYWHERE, **parts)
