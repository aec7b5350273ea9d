"""Identify the broker of an app by digests of its address, so that programs of one host can be compared.

A digest shows that two programs use the same broker, and never with which user or password. `procman check` runs this
text in the app's Python, before that of its own scripts.
"""

import hashlib
import os
import socket
from typing import Any, Callable, Iterator, List, Optional, Tuple
from urllib.parse import parse_qs, urlsplit

DIGITS = 16
"""The length of a digest; two addresses of one host have the same by chance once in 10**19 pairs."""

MOST_URLS = 20

LOCAL_HOSTS = ("", "localhost", "localhost.localdomain", "ip6-localhost", "::1", "0.0.0.0", "::")  # noqa: S104

PORTS = {"sentinel": (None, 26379), "redis": (None, 6379), "amqp": (None, 5671, 5672)}
"""By the word in the name of kombu's transport: its usual ports, with TLS or without."""


def broker_digests(connection: Any) -> List[str]:
    """Return the digest of each broker that a kombu connection may use; empty if a broker cannot be identified.

    Two connections use the same broker if they have a digest in common: each node of a cluster has its own.
    """
    addresses = [_address(each) for each in _connections(connection)]
    known = {each for each in addresses if each}
    return sorted(hashlib.sha256("\n".join(each).encode("utf-8", "replace")).hexdigest()[:DIGITS] for each in known)


def brokers_of(connect: Callable[[], Any]) -> List[str]:
    """Return `broker_digests` of the connection that `connect` makes; empty also if that fails."""
    try:
        return broker_digests(connect())
    except Exception:
        return []


def _connections(connection: Any) -> Iterator[Any]:
    yield connection
    # Of several URLs, kombu has parsed the first.
    for url in list(connection.alt or ())[1:MOST_URLS]:
        yield type(connection)(url, transport_options=connection.transport_options)


def _address(connection: Any) -> Optional[Tuple[str, ...]]:
    options = connection.transport_options or {}
    transport = str(connection.transport_cls or "amqp").lower()
    if "filesystem" in transport:
        folder = options.get("data_folder_out")
        return ("filesystem", os.path.realpath(str(folder))) if folder else None
    family = next((each for each in PORTS if each in transport), None)
    if family is None:
        return _other_address(connection, transport)
    host, database = str(connection.hostname or ""), str(connection.virtual_host or "")
    if "://" in host:
        host, database = _socket_address(host)
    port = "" if connection.port in PORTS[family] else str(connection.port)
    database = database or "/" if family == "amqp" else database.strip("/") or "0"
    # A prefix of all keys separates the apps of one Redis; the nodes of Sentinel know several masters.
    more = (str(options.get("global_keyprefix") or ""), str(options.get("master_name") or ""))
    return (family, normal_host(host), port, database) + more


def _socket_address(url: str) -> Tuple[str, str]:
    """Return the path and the database of `socket://:PASSWORD@/PATH?virtual_host=DATABASE`."""
    parts = urlsplit(url)
    return parts.path, "".join(parse_qs(parts.query).get("virtual_host", [])[:1])


def _other_address(connection: Any, transport: str) -> Optional[Tuple[str, ...]]:
    # Without a host, as for SQS, the account is in the user's name.
    if not connection.hostname:
        return None
    port, virtual_host = str(connection.port or ""), str(connection.virtual_host or "")
    return (transport, normal_host(str(connection.hostname)), port, virtual_host)


def normal_host(host: str) -> str:
    """Return `host` in lower case and without a final dot; all names of this host's loopback interface are one."""
    if host.startswith("/"):
        return host  # the path of a socket
    host = host.strip("[]").lower().rstrip(".")
    is_local = host in LOCAL_HOSTS or host.startswith("127.") or host == socket.gethostname().lower()
    return "localhost" if is_local else host
