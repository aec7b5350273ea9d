"""Fixtures for all tests: a private home, and the Celery versions that procman supports."""

from __future__ import annotations

import gc
import os
import signal
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


def pytest_configure() -> None:
    # Background jobs of a shell and their children ignore SIGINT, with which tests interrupt procman.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    return report()


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Add the markers of fixtures to the tests that use them."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            for marker in needs.OF_FIXTURES.get(fixture, ()):
                item.add_marker(marker)
            if fixture == "reachable_python":  # takes ten seconds to create
                item.add_marker(pytest.mark.xdist_group(fixture))


def pytest_collection_finish() -> None:
    # Otherwise Python would look for garbage among thousands of tests, again and again.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Record the running test, and skip it if it needs root and this is not root."""
    needs.running[:] = [item]
    marker = item.get_closest_marker("root")
    if marker and os.geteuid() != 0:
        pytest.skip(*marker.args or ("needs root",))


def pytest_runtest_teardown() -> None:
    needs.running.clear()


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of all homes: pytest reads the directory that it makes another one in."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def home(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point HOME and the XDG directories at an empty directory, so that no test can touch the real home."""
    home = Path(tempfile.mkdtemp(dir=homes))
    monkeypatch.setenv("HOME", str(home))
    if owner := Path(__file__).stat().st_uid:
        # As with sudo: root runs procman from the checkout of another user.
        monkeypatch.setenv("SUDO_UID", str(owner))
    for variable, directory in {
        "XDG_CONFIG_HOME": ".config",
        "XDG_DATA_HOME": ".local/share",
        "XDG_STATE_HOME": ".local/state",
        "XDG_CACHE_HOME": ".cache",
        "XDG_RUNTIME_DIR": "run",
    }.items():
        monkeypatch.setenv(variable, str(home / directory))
    # Most tests run as root: none may find, or write, a procman.toml of this machine.
    monkeypatch.setattr(find_file, "OF_HOST", home / "etc" / "procman")
    return home


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
