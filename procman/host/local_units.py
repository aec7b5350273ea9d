"""Find the systemd units of the services on this host that an app connects to: broker, databases, caches."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from procman.background import Background
from procman.errors import ProcmanError

UNIT_DIRECTORIES = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.late",
)
"""systemd's search path for system units (systemd.unit(5)), below the root directory; the last is of init scripts."""

UNITS = {
    # Debian's postgresql.service orders itself after its clusters, postgresql@VERSION-NAME.service.
    "postgresql": ("postgresql.service", "postgresql-[0-9]*.service"),
    "pgbouncer": ("pgbouncer.service",),
    "mysql": ("mariadb.service", "mysql.service", "mysqld.service"),
    "redis": ("redis-server.service", "redis.service", "valkey-server.service", "valkey.service"),
    "memcached": ("memcached.service",),
    "rabbitmq": ("rabbitmq-server.service",),
    "mongodb": ("mongod.service", "mongodb.service"),
}
"""Names and patterns of units of Debian, Red Hat and the projects themselves, by kind of service."""

PGBOUNCER_PORT = 6432

RESOLVING_SECONDS = 3.0


def units_of(kind: str, host: str, port: int | None = None, root: Path = Path("/")) -> tuple[str, ...]:
    """Return the systemd units of a service at `host` and `port`; empty if it is not on this host or has none.

    `kind` is a key of UNITS. A `host` that is empty is this host. `root` is the root directory of the host.
    """
    kinds = [kind, "pgbouncer"] if (kind, port) == ("postgresql", PGBOUNCER_PORT) else [kind]
    found = dict.fromkeys(unit for each in kinds for unit in _existing(each, root))
    return tuple(found) if found and is_this_host(host) else ()


def _existing(kind: str, root: Path) -> Iterator[str]:
    for pattern in UNITS.get(kind, ()):
        for directory in UNIT_DIRECTORIES:
            for path in sorted((root / directory).glob(pattern)):
                # A masked unit is a link to /dev/null, an alias a link to a unit with another name.
                target = path.resolve()
                if target != Path(os.devnull):
                    yield target.name


def is_this_host(host: str) -> bool:
    """Return whether `host`, a name or an address, is this host; a name may be looked up, for at most a few seconds."""
    if host == "" or is_loopback(host) or host.lower() == os.uname().nodename.lower():
        return True
    own = {_address(each.address) for interface in psutil.net_if_addrs().values() for each in interface}
    try:
        found = Background(lambda: socket.getaddrinfo(host, None)).result(RESOLVING_SECONDS)
    except (OSError, UnicodeError, ProcmanError):
        return False
    addresses = [str(address[0]) for *_, address in found]
    return any(is_loopback(each) or _address(each) in own - {None} for each in addresses)


def is_loopback(host: str) -> bool:
    """Return whether `host` is a name or an address of the loopback interface; nothing is looked up."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback or address.is_unspecified


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(text.partition("%")[0])
    return None
