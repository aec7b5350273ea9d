"""Find the systemd units of the services on this host that an app connects to: broker, databases, caches."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol

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

_OF_USERS = "systemd/user"

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


class Service(Protocol):
    """A server that an app connects to, such as `probes.app.Service`."""

    @property
    def what(self) -> str:
        """Return its use: `database default`."""

    @property
    def kind(self) -> str:
        """Return a key of UNITS, or another kind, which has no units."""

    @property
    def host(self) -> str:
        """Return its name or address; empty: this host."""

    @property
    def port(self) -> int | None:
        """Return its port; None: the default."""


def is_of_user(unit: Path) -> bool:
    """Return whether the systemd of a user runs the unit in the file `unit`, or in a drop-in, not that of the host."""
    return _OF_USERS in str(unit.parent)


def units_in_use(services: Iterable[Service], root: Path = Path("/")) -> dict[str, tuple[str, ...]]:
    """Return the systemd units of those `services` that are on this host, each with its uses.

    `root` is the root directory of the host.
    """
    is_local = cache(is_this_host)
    uses: dict[str, dict[str, None]] = {}
    for service in services:
        units = units_of(service.kind, service.port, root)
        for unit in units if units and is_local(service.host) else ():
            uses.setdefault(unit, {})[service.what] = None
    return {unit: tuple(what) for unit, what in uses.items()}


def units_of(kind: str, port: int | None, root: Path) -> list[str]:
    """Return the existing units of the kind of service that listens on `port`."""
    kinds = [kind, "pgbouncer"] if (kind, port) == ("postgresql", PGBOUNCER_PORT) else [kind]
    return list(
        dict.fromkeys(unit for each in kinds for pattern in UNITS.get(each, ()) for unit in _named(pattern, root))
    )


def canonical(unit: str, root: Path = Path("/")) -> str:
    """Return the name of the unit that `unit` is an alias of, or else `unit` itself."""
    return next(_named(unit, root), unit)


def _named(pattern: str, root: Path) -> Iterator[str]:
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
