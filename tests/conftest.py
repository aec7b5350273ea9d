"""Fixtures for all tests: a private home, and the Celery versions that procman supports."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from procman.config import find_file
from tests import needs
from tests.backends.supervisor.real_supervisord import Supervisord
from tests.celery_environments import (
    CELERY_SPECS,
    MISSING_OLDEST,
    CeleryEnvironment,
    environment_of,
    oldest_python,
    report,
)
from tests.reachable import make_virtualenv, public_directory

pytest_plugins = ["tests.no_omissions"]

# A slow or busy machine must not fail a test.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("few examples", hypothesis.settings.get_profile("any machine"), max_examples=10)
hypothesis.settings.load_profile("any machine")

LONGEST_ID = 200
OWNER = Path(__file__).stat().st_uid
XDG_DIRECTORIES = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
    "XDG_CACHE_HOME": ".cache",
    "XDG_RUNTIME_DIR": "run",
}


def pytest_configure() -> None:
    # Background jobs of a shell and their children ignore SIGINT, with which tests interrupt procman.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    return report()


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the markers of fixtures to the tests that use them, and sort groups first.

    A group runs on one process: begun late, it would keep the others waiting at the end.
    """
    is_measured = bool(config.getoption("cov_source", None))
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            for marker in needs.OF_FIXTURES.get(fixture, ()):
                item.add_marker(marker)
            if fixture == "reachable_python":  # takes ten seconds to create
                item.add_marker(pytest.mark.xdist_group(fixture))
        if is_measured and not needs.NOT_ALONE.isdisjoint(marker.name for marker in item.iter_markers()):
            item.add_marker("no_cover")
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Shorten the names of tests for values of kilobytes: every report of a test process has them."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_ID:
        return f"{val[:LONGEST_ID]!a}..."
    return None


def pytest_collection() -> None:
    # Otherwise Python would look for garbage among thousands of tests, again and again.
    gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Record the running test, and skip it if it needs root and this is not root."""
    needs.running[:] = [item]
    marker = item.get_closest_marker("root")
    if marker and os.geteuid() != 0:
        pytest.skip(*marker.args or ("needs root",))


def pytest_runtest_teardown() -> None:
    needs.running.clear()


class Homes:
    """Empty directories for tests; one that a test left empty serves the next test too.

    Removing a directory takes a disk milliseconds, which thousands of them would add to the end of a run.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._last = self._new()

    def empty(self) -> Path:
        if not self._is_as_new():
            self._last = self._new()
        return self._last

    def _new(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._directory))

    def _is_as_new(self) -> bool:
        if not self._last.is_dir():
            return False
        status = self._last.lstat()
        return (status.st_mode, status.st_uid) == (stat.S_IFDIR | 0o700, os.geteuid()) and not any(self._last.iterdir())


@pytest.fixture(scope="session")
def empty_homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """Return the directories of all homes: pytest reads the directory that it makes another one in."""
    return Homes(tmp_path_factory.mktemp("homes"))


@pytest.fixture(autouse=True)
def home(empty_homes: Homes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point HOME and the XDG directories at an empty directory, so that no test can touch the real home."""
    home = empty_homes.empty()
    monkeypatch.setenv("HOME", str(home))
    if OWNER:
        # As with sudo: root runs procman from the checkout of another user.
        monkeypatch.setenv("SUDO_UID", str(OWNER))
    for variable, directory in XDG_DIRECTORIES.items():
        monkeypatch.setenv(variable, f"{home}/{directory}")
    # Most tests run as root: none may find, or write, a procman.toml of this machine.
    monkeypatch.setattr(find_file, "OF_HOST", home / "etc" / "procman")
    return home


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return an empty directory, which remains if the test fails.

    For each of thousands of tests, pytest's own fixture reads the directory above and replaces a link in it.
    """
    prefix = re.sub(r"\W", "_", request.node.name)[:22]  # short, for the sake of paths of sockets
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=tmp_path_factory.getbasetemp()))
    failed_before = request.session.testsfailed
    yield directory
    if request.session.testsfailed == failed_before:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session", params=CELERY_SPECS, ids=lambda spec: f"celery-{spec.version}")
def celery_environment(request: pytest.FixtureRequest) -> CeleryEnvironment:
    """Return a virtualenv with Celery, once for each version."""
    environment = environment_of(request.param)
    if environment is None:
        pytest.skip(request.param.missing)
    return environment


@pytest.fixture(scope="session", params=["running", "oldest"])
def python(request: pytest.FixtureRequest) -> Path:
    """Return the Python that runs procman, then the oldest one found."""
    found = Path(sys.executable) if request.param == "running" else oldest_python()
    if found is None:
        pytest.skip(MISSING_OLDEST)
    return found


@pytest.fixture(scope="session")
def reachable_python() -> Iterator[Path]:
    """Return the Python of a virtualenv with Celery and Django that any user can run."""
    with public_directory() as directory:
        yield make_virtualenv(directory / "env")


@pytest.fixture
def supervisord() -> Iterator[Supervisord]:
    """Return a supervisord for this test, not started yet."""
    own = Supervisord()
    try:
        yield own
    finally:
        own.close()
