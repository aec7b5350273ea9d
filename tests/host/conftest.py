"""The booted hosts that the tests of this directory share: two groups of tests, each with its own host, in parallel."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from .catmaid import REPOSITORY, install_procman, install_project
from .machine import Host
from .overlay import HostError
from .projects import catmaid, debian, fenced, own
from .roots import SUITE

__all__ = ["catmaid", "debian", "fenced", "own"]

HERE = f"{Path(__file__).parent}/"
LAST = ("test_supervisor", "test_systemd", "test_kill_reboot_uninstall")
"""All three install the same projects. In this order the later ones find them installed, which saves time."""

RESOLVER = """
[Service]
ExecStart=/usr/bin/python3 /opt/resolver.py

[Install]
WantedBy=multi-user.target
"""

PR_SET_PDEATHSIG = 1  # otherwise a worker of pytest-xdist would finish its test after its controller was killed


def _reason_to_skip() -> str | None:
    if os.geteuid() != 0:
        return "a booted host needs root"
    try:
        system = platform.freedesktop_os_release()["ID"]
    except OSError:
        system = platform.system()
    return None if system == "debian" else f"a booted host is made of the machine's own files, and this is {system}"


def _rank(item: pytest.Item) -> int:
    """Sort the host first, because it takes longest. The order saves time; no test depends on it."""
    if not _is_here(item):
        return len(LAST) + 2
    if item.path.stem in LAST:
        return 2 + LAST.index(item.path.stem)
    return int(item.path.stem != "test_machine")


def _is_here(item: pytest.Item) -> bool:
    return str(item.path).startswith(HERE)


def _group(item: pytest.Item) -> str:
    if item.path.stem in ("test_trixie", "test_broker_states"):
        return "trixie host"
    if "host" not in getattr(item, "fixturenames", ()):
        return "own host"
    return "last host" if item.path.stem in LAST else "host"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests below this directory, and skip them if they cannot run.

    Tests that share a host run on one worker of pytest-xdist. The last files share a second host, which boots in
    seconds: on a single host, the tests of this directory would take longer than all other tests. So does the host of
    test_trixie.py.
    """
    reason = _reason_to_skip()
    items.sort(key=_rank)
    for item in items:
        if _is_here(item):
            item.add_marker(pytest.mark.host)
            item.add_marker(pytest.mark.xdist_group(_group(item)))
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


def skip_without_host(error: HostError) -> NoReturn:
    """Skip the test with the reason, or fail it if CI=true."""
    if os.environ.get("CI") == "true":
        raise error
    pytest.skip(f"no host can be booted here: {error}")


@contextmanager
def booted(suite: str = SUITE) -> Iterator[Host]:
    """Boot a host, or skip the tests that need it."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    with ExitStack() as stack:
        try:
            host = stack.enter_context(Host(suite=suite))
        except HostError as error:
            skip_without_host(error)
        yield host


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """A booted host of the suite that this run of the tests is for."""
    with booted() as host:
        yield host


@pytest.fixture(scope="session")
def trixie() -> Iterator[Host]:
    """A booted Debian 13 with the demo project, in place of the machine's own Debian."""
    with booted("trixie") as host:
        install_procman(host)
        install_project(host)
        yield host


@pytest.fixture(scope="session")
def stocked(host: Host) -> Host:
    """The host with procman, the project and a name server, before any install."""
    install_procman(host)
    install_project(host)
    host.write("/opt/resolver.py", (REPOSITORY / "tests/host/resolver.py").read_text())
    host.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    host.write("/etc/systemd/system/resolver.service", RESOLVER)
    host.run("systemctl enable --quiet --now resolver")
    return host
