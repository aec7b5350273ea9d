"""The notifications that a program sends to systemd, received by a socket of the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from procman.agent.sd_notify import READY_AFTER, READY_AFTER_SECONDS, Systemd, ready_after
from tests.agent.conftest import Start
from tests.agent.heartbeats import RECEIVE_SECONDS, Site, notified
from tests.agent.launching import install_launcher
from tests.celery_environments import CELERY_5_7, CELERY_SPECS, environment_of

pytestmark = pytest.mark.celery


@pytest.fixture
def site(tmp_path: Path, start: Start, request: pytest.FixtureRequest) -> Site:
    spec = getattr(request, "param", CELERY_5_7)
    environment = environment_of(spec)
    if environment is None:
        pytest.skip(spec.missing)
    site = Site(install_launcher(tmp_path, environment.python), start)
    site.app()
    return site


def watchdog(seconds: float) -> str:
    return str(int(seconds * 1e6))


@pytest.mark.parametrize("site", CELERY_SPECS, indirect=True, ids=lambda spec: spec.version)
def test_worker_notifies_systemd_of_its_start_life_and_stop(site: Site, tmp_path: Path) -> None:
    may_start = tmp_path / "may-start"
    site.app(f"while not os.path.exists({str(may_start)!r}): time.sleep(0.05)\n")
    with notified(tmp_path) as systemd:
        worker = site.worker(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC=watchdog(0.9))
        for _ in range(3):
            assert "READY=1" not in systemd.receive("EXTEND_TIMEOUT_USEC=120000000")
        may_start.touch()
        received = systemd.receive("READY=1")
        received += systemd.receive("WATCHDOG=1")
        # Sent only once, perhaps already by now.
        consuming = "STATUS=OK: it is consuming; 0 of 2 slots are busy"
        received += systemd.receive(consuming) if consuming not in received else []
        assert "STOPPING=1" not in received
        worker.launched.process.send_signal(signal.SIGTERM)
        systemd.receive("STOPPING=1")
        assert worker.launched.end() == 0


def test_import_that_takes_long_counts_as_started_and_may_hold_the_lock_of_python(site: Site, tmp_path: Path) -> None:
    may_start = tmp_path / "may-start"
    site.app(f"while not os.path.exists({str(may_start)!r}): time.sleep(0.05)\n")
    with notified(tmp_path) as systemd:
        site.worker(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC=watchdog(0.9), **{READY_AFTER: "0.2"})
        received = systemd.receive("WATCHDOG_USEC=120000000")
        assert {"READY=1", "STATUS=it has been importing the app for 0s"} <= set(received)
        # After a daemon-reload, systemd counts from the last of these messages.
        assert "EXTEND_TIMEOUT_USEC=120000000" not in systemd.receive("WATCHDOG=1") + systemd.receive("WATCHDOG=1")
        may_start.touch()
        systemd.receive("WATCHDOG_USEC=900000")


def test_long_import_counts_as_started_in_time_however_rare_the_heartbeats_are(site: Site, tmp_path: Path) -> None:
    site.app("time.sleep(600)\n")
    with notified(tmp_path) as systemd:
        rare = {"PROCMAN_HEARTBEAT_SECONDS": "3600", READY_AFTER: "1"}
        site.worker(NOTIFY_SOCKET=systemd.address, **rare)
        systemd.receive("READY=1")


def test_beat_notifies_systemd_of_its_start_and_life(site: Site, tmp_path: Path) -> None:
    with notified(tmp_path) as systemd:
        beat = site.beat(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC=watchdog(0.9))
        systemd.receive("READY=1")
        systemd.receive("WATCHDOG=1")
        systemd.receive("WATCHDOG=1")
        assert beat.launched.end(signal.SIGTERM) == 0


def test_worker_without_its_broker_is_ready_and_feeds_the_watchdog(site: Site, tmp_path: Path) -> None:
    site.app('app.conf.broker_url = "amqp://guest@127.0.0.1:1//"\n')
    with notified(tmp_path) as systemd:
        worker = site.worker(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC=watchdog(0.9))
        systemd.receive("READY=1")
        found = worker.wait_for(lambda found: found["verdict"]["level"] == "WARNING", "it waits")
        assert (found["phase"], found["verdict"]["remedy"]) == ("starting", "")
        systemd.receive("WATCHDOG=1")
        systemd.receive("WATCHDOG=1")


def test_worker_is_ready_again_after_hup(site: Site, tmp_path: Path) -> None:
    with notified(tmp_path) as systemd:
        worker = site.worker(NOTIFY_SOCKET=systemd.address)
        systemd.receive("READY=1")
        worker.wait_until_healthy()
        worker.launched.process.send_signal(signal.SIGHUP)
        systemd.receive("EXTEND_TIMEOUT_USEC=120000000")
        systemd.receive("READY=1")


def test_program_that_waits_for_the_lock_requests_more_time_to_start(site: Site, tmp_path: Path) -> None:
    first = site.worker()
    first.wait_until_healthy()
    with notified(tmp_path) as systemd:
        site.worker(NOTIFY_SOCKET=systemd.address)
        received = systemd.receive("EXTEND_TIMEOUT_USEC=120000000")
        assert f"waiting for process {first.pid} " in received[1]


def test_program_that_waits_long_for_the_lock_counts_as_started(site: Site, tmp_path: Path) -> None:
    first = site.worker()
    first.wait_until_healthy()
    with notified(tmp_path) as systemd:
        site.worker(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC=watchdog(0.9), **{READY_AFTER: "0"})
        received = systemd.receive("WATCHDOG_USEC=120000000")
        assert {"READY=1", "WATCHDOG=1"} <= set(received)
        assert any(f"waiting for process {first.pid} " in line for line in received)
        first.launched.process.send_signal(signal.SIGTERM)
        systemd.receive("WATCHDOG_USEC=900000")


@pytest.mark.parametrize("broken", ["heartbeat.py", "worker_hooks.py", "sd_notify.py"])
def test_worker_with_a_broken_heartbeat_starts_and_reports_it(site: Site, tmp_path: Path, broken: str) -> None:
    file = site.installation.launcher.with_name(broken)
    file.write_text("raise RuntimeError('broken')\n")
    with notified(tmp_path) as systemd:
        worker = site.worker(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC=watchdog(0.9))
        # Without a heartbeat no watchdog message is sent, so systemd must not wait for one.
        assert "WATCHDOG_USEC=0" in systemd.receive("READY=1")
        worker.launched.wait_for("cannot start the heartbeat; the program runs, but its health is unknown")
        worker.launched.wait_for("ready.")


def test_worker_whose_hooks_fail_is_ready_and_reports_the_missing_hooks(site: Site, tmp_path: Path) -> None:
    file = site.installation.launcher.with_name("worker_hooks.py")
    file.write_text("def connect(*arguments):\n    raise RuntimeError('broken')\n")
    with notified(tmp_path) as systemd:
        worker = site.worker(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC=watchdog(0.9))
        systemd.receive("READY=1")
        systemd.receive("WATCHDOG=1")
        worker.wait_for(lambda found: found["missing"] == ["hooks: RuntimeError"], "it is reported")
        worker.launched.wait_for("ready.")
        systemd.receive("WATCHDOG=1")


def test_failing_step_does_not_affect_the_worker(site: Site, tmp_path: Path) -> None:
    file = site.installation.launcher.with_name("worker_hooks.py")
    file.write_text(file.read_text().replace("def measured(worker", "def measured_no_more(worker"))
    worker = site.worker()
    found = worker.wait_for(lambda found: found["missing"], "it is reported")
    assert found["missing"] == ["tasks: NameError"]
    assert (found["verdict"]["level"], found["verdict"]["code"]) == ("WARNING", "PM204")
    worker.launched.wait_for("ready.")


def test_pool_whose_tasks_can_delay_the_heartbeat_has_no_watchdog(site: Site, tmp_path: Path) -> None:
    with notified(tmp_path) as systemd:
        site.worker("-P", "solo", NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC=watchdog(0.9))
        systemd.receive("WATCHDOG_USEC=0")


def test_watchdog_is_not_fed_if_the_main_process_does_not_react(site: Site, tmp_path: Path) -> None:
    site.app("""
from celery.signals import worker_ready


@worker_ready.connect
def cling(sender=None, **arguments):
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sender.cancel_task_queue("celery")
    app.send_task("mysite.touch", [])
""")
    with notified(tmp_path) as systemd:
        worker = site.worker(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC=watchdog(0.9))
        worker.launched.wait_for("stops itself gracefully")
        # Two seconds later it has not reacted; read what was sent until then.
        time.sleep(3)
        systemd.receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.receive("no such message")
        systemd.receiver.settimeout(10)
        received = systemd.receive("READY=1")
        assert "WATCHDOG=1" not in received
        worker.launched.end(signal.SIGKILL)


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({}, None),
    ],
)
def test_watchdog_interval_is_read_as_systemd_sets_it(more: dict[str, str], seconds: float | None) -> None:
    assert Systemd({"NOTIFY_SOCKET": "/nowhere", **more}).watchdog_seconds == seconds
    assert Systemd(more).watchdog_seconds is None


SECONDS_SINCE_FORK = "from procman.agent.sd_notify import monotonic, started; print(monotonic() - started())"


def test_start_is_counted_from_the_fork_through_every_exec() -> None:
    argv = ["sh", "-c", 'sleep 0.3; exec "$0" -c "$1"', sys.executable, SECONDS_SINCE_FORK]
    printed = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout
    assert 0.29 < float(printed) < RECEIVE_SECONDS


@pytest.mark.parametrize("text", ["", "soon"])
def test_invalid_time_of_a_drop_in_is_ignored(text: str) -> None:
    assert ready_after({READY_AFTER: text}) == ready_after({}) == READY_AFTER_SECONDS


def test_missing_socket_is_no_error() -> None:
    assert not Systemd({"NOTIFY_SOCKET": "/nowhere"}).tell("READY=1")
    assert not Systemd({"NOTIFY_SOCKET": "@no-listener-here"}).tell("READY=1")
    assert not Systemd({"NOTIFY_SOCKET": "x" * 500}).tell("READY=1")
    assert not Systemd({}).tell("READY=1")


def test_heartbeat_that_cannot_be_written_is_a_part_of_the_status(site: Site, tmp_path: Path) -> None:
    with notified(tmp_path) as systemd:
        worker = site.worker(NOTIFY_SOCKET=systemd.address)
        worker.wait_until_healthy()
        in_the_way = worker.keep_heartbeat_from_being_written()
        working = "STATUS=OK: it is consuming; 0 of 2 slots are busy"
        systemd.receive(f"{working}; it cannot write its heartbeat: Is a directory")
        in_the_way.rmdir()
        systemd.receive(working)
