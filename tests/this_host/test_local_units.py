"""The units of services on this host."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import psutil
import pytest

from procman.host import local_units
from procman.host.local_units import canonical, is_loopback, is_this_host, units_in_use
from procman.probes.app import Service

RABBITMQ = ("rabbitmq-server.service",)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root directory of a host with many services."""
    for path in (
        "lib/systemd/system/rabbitmq-server.service",
        "lib/systemd/system/postgresql.service",
        "lib/systemd/system/postgresql@.service",
        "lib/systemd/system/mariadb.service",
        "usr/lib/systemd/system/postgresql-16.service",
        "usr/lib/systemd/system/pgbouncer.service",
        "etc/systemd/system/redis.service",
        "run/systemd/generator.late/memcached.service",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "etc/systemd/system/redis-server.service").symlink_to("/dev/null")
    (tmp_path / "etc/systemd/system/mysql.service").symlink_to(tmp_path / "lib/systemd/system/mariadb.service")
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "host", "port", "units"),
    [
        ("rabbitmq", "localhost", 5672, RABBITMQ),
        ("rabbitmq", "", None, RABBITMQ),
        ("rabbitmq", "LOCALHOST", None, RABBITMQ),
        ("rabbitmq", os.uname().nodename, None, RABBITMQ),
        ("rabbitmq", "127.0.1.1", None, RABBITMQ),
        ("rabbitmq", "0.0.0.0", None, RABBITMQ),
        ("rabbitmq", "192.0.2.1", None, ()),
        ("postgresql", "::1", 5432, ("postgresql.service", "postgresql-16.service")),
        ("postgresql", "", 6432, ("postgresql.service", "postgresql-16.service", "pgbouncer.service")),
        ("mysql", "127.0.0.1", 3306, ("mariadb.service",)),
        ("redis", "", None, ("redis.service",)),
        ("memcached", "", 11211, ("memcached.service",)),
        ("mongodb", "localhost", None, ()),
        ("oracle", "localhost", None, ()),
    ],
)
def test_units_of_a_service(root: Path, kind: str, host: str, port: int | None, units: tuple[str, ...]) -> None:
    assert tuple(units_in_use([Service("broker", kind, host, port)], root)) == units


def test_unit_is_named_once_with_all_its_uses(root: Path) -> None:
    uses = ("database default", "database replica", "result backend", "database default")
    found = units_in_use([Service(what, "mysql", "localhost", None) for what in uses], root)
    assert found == {"mariadb.service": ("database default", "database replica", "result backend")}


def test_alias_is_resolved(root: Path) -> None:
    names = ("mysql.service", "mariadb.service", "redis-server.service", "nowhere.service")
    assert [canonical(name, root) for name in names] == ["mariadb.service", *names[1:]]


def test_every_address_of_an_interface_is_this_host() -> None:
    own = [each for interface in psutil.net_if_addrs().values() for each in interface]
    addresses = [each.address for each in own if each.family in (socket.AF_INET, socket.AF_INET6)]
    assert addresses
    assert all(map(is_this_host, addresses))


def test_name_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"db.example": "127.0.0.1", "other.example": "192.0.2.1"}

    def resolve(host: str, port: None) -> list[tuple[object, ...]]:
        if host not in known:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    found = [is_this_host(host) for host in ("db.example", "other.example", "unknown.example")]
    assert found == [True, False, False]


def test_name_that_is_not_resolved_in_time_is_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(local_units, "RESOLVING_SECONDS", 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answered.wait())
    assert not is_this_host("slow.example")
    answered.set()


@pytest.mark.parametrize("host", ["a" * 300, "x..y", "\udcff", "%", "[::1]"])
def test_invalid_name_is_another_host(host: str) -> None:
    assert not is_this_host(host)


def test_loopback_needs_no_lookup() -> None:
    hosts = ("localhost", "::1", "127.0.0.1", "example.org", "10.0.0.1")
    assert [is_loopback(host) for host in hosts] == [True, True, True, False, False]
