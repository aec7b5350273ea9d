"""What systemd hears of a program, from a socket that listens in its place."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from procman.agent.sd_notify import Systemd
from tests.agent.conftest import Start
from tests.agent.heartbeats import Site, notified
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
def test_worker_says_when_it_waits_when_it_is_up_that_it_lives_and_that_it_stops(site: Site, tmp_path: Path) -> None:
    may_start = tmp_path / "may-start"
    site.app(f"while not os.path.exists({str(may_start)!r}): time.sleep(0.05)\n")
    with notified(tmp_path) as told:
        worker = site.worker(NOTIFY_SOCKET=told.address, WATCHDOG_USEC=watchdog(0.9))
        for _ in range(3):
            assert "READY=1" not in told.receive("EXTEND_TIMEOUT_USEC=120000000")
        may_start.touch()
        said = told.receive("READY=1")
        said += told.receive("WATCHDOG=1")
        # Told once, when it becomes so: by now perhaps.
        consuming = "STATUS=OK: it is consuming; 0 of 2 slots are busy"
        said += told.receive(consuming) if consuming not in said else []
        assert "STOPPING=1" not in said
        worker.launched.process.send_signal(signal.SIGTERM)
        told.receive("STOPPING=1")
        assert worker.launched.end() == 0


def test_beat_says_when_it_is_up_and_that_it_lives(site: Site, tmp_path: Path) -> None:
    with notified(tmp_path) as told:
        beat = site.beat(NOTIFY_SOCKET=told.address, WATCHDOG_USEC=watchdog(0.9))
        told.receive("READY=1")
        told.receive("WATCHDOG=1")
        told.receive("WATCHDOG=1")
        assert beat.launched.end(signal.SIGTERM) == 0


def test_worker_whose_broker_is_away_is_up_and_lives(site: Site, tmp_path: Path) -> None:
    site.app('app.conf.broker_url = "amqp://guest@127.0.0.1:1//"\n')
    with notified(tmp_path) as told:
        worker = site.worker(NOTIFY_SOCKET=told.address, WATCHDOG_USEC=watchdog(0.9))
        told.receive("READY=1")
        found = worker.wait_for(lambda found: found["verdict"]["level"] == "WARNING", "it waits")
        assert (found["phase"], found["verdict"]["remedy"]) == ("starting", "")
        told.receive("WATCHDOG=1")
        told.receive("WATCHDOG=1")


def test_hup_says_ready_again(site: Site, tmp_path: Path) -> None:
    with notified(tmp_path) as told:
        worker = site.worker(NOTIFY_SOCKET=told.address)
        told.receive("READY=1")
        worker.wait_until_sound()
        worker.launched.process.send_signal(signal.SIGHUP)
        told.receive("EXTEND_TIMEOUT_USEC=120000000")
        told.receive("READY=1")


def test_program_that_waits_for_the_one_before_puts_the_end_of_its_start_off(site: Site, tmp_path: Path) -> None:
    first = site.worker()
    first.wait_until_sound()
    with notified(tmp_path) as told:
        site.worker(NOTIFY_SOCKET=told.address)
        said = told.receive("EXTEND_TIMEOUT_USEC=120000000")
        assert f"waiting for process {first.pid} " in said[1]


@pytest.mark.parametrize("broken", ["heartbeat.py", "worker_hooks.py", "sd_notify.py"])
def test_worker_whose_heartbeat_is_broken_starts_and_says_so(site: Site, tmp_path: Path, broken: str) -> None:
    file = site.installation.launcher.with_name(broken)
    file.write_text("raise RuntimeError('broken')\n")
    with notified(tmp_path) as told:
        worker = site.worker(NOTIFY_SOCKET=told.address, WATCHDOG_USEC=watchdog(0.9))
        # Nobody is there to say that it lives, so nobody is to wait for it.
        assert "WATCHDOG_USEC=0" in told.receive("READY=1")
        worker.launched.wait_for("cannot start the heartbeat; the program runs, but its health is unknown")
        worker.launched.wait_for("ready.")


def test_worker_whose_hooks_fail_is_up_and_lives_and_says_what_is_missing(site: Site, tmp_path: Path) -> None:
    file = site.installation.launcher.with_name("worker_hooks.py")
    file.write_text("def connect(*arguments):\n    raise RuntimeError('broken')\n")
    with notified(tmp_path) as told:
        worker = site.worker(NOTIFY_SOCKET=told.address, WATCHDOG_USEC=watchdog(0.9))
        told.receive("READY=1")
        told.receive("WATCHDOG=1")
        worker.wait_for(lambda found: found["missing"] == ["hooks: RuntimeError"], "it says so")
        worker.launched.wait_for("ready.")
        told.receive("WATCHDOG=1")


def test_step_that_fails_leaves_the_worker_alone(site: Site, tmp_path: Path) -> None:
    file = site.installation.launcher.with_name("worker_hooks.py")
    file.write_text(file.read_text().replace("def measured(worker", "def measured_no_more(worker"))
    worker = site.worker()
    found = worker.wait_for(lambda found: found["missing"], "it says so")
    assert found["missing"] == ["tasks: NameError"]
    assert (found["verdict"]["level"], found["verdict"]["code"]) == ("WARNING", "PM204")
    worker.launched.wait_for("ready.")


def test_pool_in_which_a_task_may_silence_it_has_no_watchdog(site: Site, tmp_path: Path) -> None:
    with notified(tmp_path) as told:
        site.worker("-P", "solo", NOTIFY_SOCKET=told.address, WATCHDOG_USEC=watchdog(0.9))
        told.receive("WATCHDOG_USEC=0")


def test_main_process_that_does_not_hear_gets_no_more_signs_of_life(site: Site, tmp_path: Path) -> None:
    site.app("""
from celery.signals import worker_ready


@worker_ready.connect
def cling(sender=None, **arguments):
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sender.cancel_task_queue("celery")
    app.send_task("mysite.touch", [])
""")
    with notified(tmp_path) as told:
        worker = site.worker(NOTIFY_SOCKET=told.address, WATCHDOG_USEC=watchdog(0.9))
        worker.launched.wait_for("stops itself gracefully")
        # Two seconds later it has not heard; what it has said until then is still to be read.
        time.sleep(3)
        told.receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            told.receive("nothing of the kind")
        told.receiver.settimeout(10)
        said = told.receive("READY=1")
        assert "WATCHDOG=1" not in said
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
def test_watchdog_is_read_as_systemd_writes_it(more: dict[str, str], seconds: float | None) -> None:
    assert Systemd({"NOTIFY_SOCKET": "/nowhere", **more}).watchdog_seconds == seconds
    assert Systemd(more).watchdog_seconds is None


def test_socket_that_is_gone_or_abstract_is_no_matter() -> None:
    assert not Systemd({"NOTIFY_SOCKET": "/nowhere"}).tell("READY=1")
    assert not Systemd({"NOTIFY_SOCKET": "@nobody-listens-here"}).tell("READY=1")
    assert not Systemd({"NOTIFY_SOCKET": "x" * 500}).tell("READY=1")
    assert not Systemd({}).tell("READY=1")
