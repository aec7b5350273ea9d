"""The launcher under a wrapper: one process all along, whose heartbeat and stop are those of Celery."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.agent.conftest import Start
from tests.agent.heartbeats import RECEIVE_SECONDS, Site, notified
from tests.agent.launching import Installation, install_launcher
from tests.agent.wrappers import make_wrappers
from tests.celery_environments import CELERY_5_7, environment_of

SHOW = """
import sys
print("app sees", "instrumentation" in sys.modules, os.environ["SET_BY"], os.environ["PYTHONPATH"], flush=True)
"""


@pytest.fixture
def wrappers(tmp_path: Path) -> Path:
    make_wrappers(tmp_path / "wrappers")
    return tmp_path / "wrappers"


@pytest.fixture
def environment_file(tmp_path: Path) -> Path:
    path = tmp_path / "environment"
    path.write_text("TOKEN=secret\nSET_BY=file\n")
    return path


def test_command_runs_under_its_wrapper_and_holds_the_lock(
    installation: Installation, wrappers: Path, start: Start
) -> None:
    words = ("/bin/sh", "-c", "echo running; sleep 60")
    command = start(installation, "command", *words, PROCMAN_WRAPPER=json.dumps([str(wrappers / "instrument")]))
    command.wait_for("running")
    assert "wrapper sees" in command.text
    next_one = start(installation, "command", "true")
    next_one.wait_for(f"waiting for process {command.process.pid} ")


def test_wrapper_that_cannot_run_is_named(installation: Installation) -> None:
    done = installation.run("worker", PROCMAN_WRAPPER='["no-such-wrapper"]')
    assert done.returncode == 78
    assert done.stderr.startswith("catmaid-celery: cannot run no-such-wrapper: No such file or directory (PATH is ")


@pytest.mark.parametrize("wrapper", ["instrument", '{"a": 1}', "[1]"])
def test_wrapper_that_is_no_list_of_words_is_refused(installation: Installation, wrapper: str) -> None:
    done = installation.run("worker", PROCMAN_WRAPPER=wrapper)
    assert done.returncode == 78
    assert "PROCMAN_WRAPPER is" in done.stderr


def test_wrapper_that_forks_starts_no_second_process_of_celery(installation: Installation, wrappers: Path) -> None:
    done = installation.run("worker", "--version", PROCMAN_WRAPPER=json.dumps([str(wrappers / "fork")]))
    assert done.returncode == 78
    assert f"the wrapper {wrappers}/fork started this process as its child instead of replacing itself" in done.stderr
    assert not installation.lock.exists()


# Real workers --------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, start: Start) -> Site:
    environment = environment_of(CELERY_5_7)
    if environment is None:
        pytest.skip(CELERY_5_7.missing)
    site = Site(install_launcher(tmp_path, environment.python), start)
    site.app(SHOW)
    return site


@pytest.mark.celery
def test_worker_under_a_wrapper_keeps_its_pid_notifies_systemd_and_stops_gracefully(
    site: Site, wrappers: Path, environment_file: Path, tmp_path: Path
) -> None:
    with notified(tmp_path) as systemd:
        worker = site.worker(
            NOTIFY_SOCKET=systemd.address,
            WATCHDOG_USEC=str(int(RECEIVE_SECONDS * 1e6)),
            PYTHONPATH="/from/unit",
            PROCMAN_ENVIRONMENT_FILE=str(environment_file),
            PROCMAN_WRAPPER=json.dumps([str(wrappers / "instrument")]),
        )
        systemd.receive("READY=1")
        healthy = worker.wait_until_healthy()
        assert healthy["pid"] == worker.pid
        seen = (
            "wrapper sees TOKEN=secret, PYTHONPATH=/from/unit\ninstrumented\n"
            f"app sees True wrapper {wrappers}/bootstrap:/from/unit\n"
        )
        assert seen in worker.launched.text
        worker.launched.process.send_signal(signal.SIGHUP)
        # The wrapper runs again, on the PYTHONPATH of the first time.
        worker.launched.wait_for(seen, times=2)
        worker.wait_for(lambda found: found["started"] > healthy["started"], "the new heartbeat")
        worker.wait_until_healthy()
        worker.launched.process.send_signal(signal.SIGTERM)
        systemd.receive("STOPPING=1")
        assert worker.launched.end() == 0
