"""Stopping, starting and restarting programs through a real supervisord."""

from __future__ import annotations

import resource
import time

import pytest

from procman.backends.supervisor.client import NotRunning
from procman.backends.supervisor.graceful_stop import stop_gracefully
from procman.errors import ProcmanError
from tests.backends.supervisor.real_supervisord import Supervisord, eventually, ignore, installed

pytestmark = pytest.mark.supervisord


def test_ten_programs_stop_in_parallel_and_lose_no_task(supervisord: Supervisord) -> None:
    names = [f"w{number}" for number in range(10)]
    for name in names:
        supervisord.worker(name, task_seconds=1)
    supervisord.start()
    eventually(lambda: all("ready" in supervisord.events(name) for name in names))
    supervisord.controller().stop([installed(name) for name in names], ignore)
    assert {name: supervisord.events(name) for name in names} == {
        name: ["start", "ready", "term", "finished"] for name in names
    }
    assert {supervisord.state(name) for name in names} == {"STOPPED"}
    # All programs got TERM before the first had exited.
    assert max(supervisord.moment(name, "term") for name in names) < min(
        supervisord.moment(name, "finished") for name in names
    )


def test_stop_reports_the_programs_it_waits_for(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=2)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    reported: list[str] = []
    supervisord.controller().stop([installed("a", stop_timeout=600)], reported.append)
    assert "a: stopping, 1 s of at most 600 s (running tasks may finish)" in reported


def test_stop_of_a_stopped_or_unloaded_program_returns_at_once(supervisord: Supervisord) -> None:
    supervisord.section("a", autostart="false")
    supervisord.start()
    supervisord.controller().stop([installed("a"), installed("nowhere")], ignore)
    assert supervisord.state("a") == "STOPPED"


def test_stop_works_for_a_program_that_keeps_failing(supervisord: Supervisord) -> None:
    supervisord.section("a", command="sh -c 'exit 1'", startsecs=5)
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "BACKOFF")
    supervisord.controller().stop([installed("a")], ignore)
    assert supervisord.state("a") == "STOPPED"


def test_stop_works_for_a_program_that_exits_meanwhile(supervisord: Supervisord) -> None:
    # It runs for a few hundredths of a second at a time: the stop finds it exited as often as running.
    supervisord.section("a", command="sleep 0.03")
    supervisord.start()
    eventually(lambda: supervisord.info("a")["start"])
    supervisord.controller().stop([installed("a")], ignore)
    assert supervisord.state("a") == "STOPPED"
    start = supervisord.info("a")["start"]
    time.sleep(1.5)
    assert supervisord.info("a")["start"] == start


def test_stop_of_a_program_that_was_just_started_is_not_lost(supervisord: Supervisord) -> None:
    """Until a new process executes its command, it is a forked supervisord, which handles TERM itself."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # It closes this many files one by one first.
    supervisord.configure(minfds=str(min(most, 500_000)))
    supervisord.worker("a", autostart="false")
    supervisord.start()
    supervisord.controller().start([installed("a")], ignore)
    supervisord.controller().stop([installed("a")], ignore)
    assert supervisord.events("a") in ([], ["start"], ["start", "ready", "term", "finished"])
    assert "SIGKILL" not in (supervisord.directory / "log").read_text()


def test_stop_that_takes_too_long_is_an_error(supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisord.worker("a", task_seconds=60)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    monkeypatch.setattr("procman.backends.graceful_stop.MARGIN_SECONDS", 0)
    with pytest.raises(ProcmanError, match="a did not stop within"):
        stop_gracefully(supervisord.client, {"a": 0.5}, ignore)
    assert supervisord.state("a") == "STOPPING"


def test_stop_without_a_supervisord_does_nothing(supervisord: Supervisord) -> None:
    reported: list[str] = []
    supervisord.controller().stop([installed("a")], reported.append)
    assert "nothing to stop" in reported[0]


def test_start_does_not_touch_running_programs(supervisord: Supervisord) -> None:
    supervisord.section("a", autostart="false")
    supervisord.section("b")
    supervisord.start()
    eventually(lambda: supervisord.state("b") == "RUNNING")
    pid = supervisord.info("b")["pid"]
    supervisord.controller().start([installed("a"), installed("b")], ignore)
    assert supervisord.state("a") in ("STARTING", "RUNNING")
    assert supervisord.info("b")["pid"] == pid


def test_start_waits_for_a_program_that_is_still_stopping(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=1)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.client.call("stopProcess", "a", False)
    supervisord.controller().start([installed("a")], ignore)
    eventually(lambda: supervisord.events("a")[-1] == "ready")
    assert supervisord.events("a") == ["start", "ready", "term", "finished", "start", "ready"]


def test_start_loads_a_section_that_is_not_loaded(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.section("a", autostart="false")
    supervisord.controller().start([installed("a", autostart=False)], ignore)
    eventually(lambda: supervisord.state("a") == "RUNNING")


def test_start_reports_a_missing_command(supervisord: Supervisord) -> None:
    supervisord.section("a", command="/nonexistent/start.sh", autostart="false")
    supervisord.start()
    with pytest.raises(ProcmanError, match=r"a: supervisord cannot find the file .*start\.sh") as caught:
        supervisord.controller().start([installed("a")], ignore)
    assert "procman install" in caught.value.hint


def test_start_works_if_an_unmanaged_file_is_invalid(supervisord: Supervisord) -> None:
    supervisord.section("a", autostart="false")
    supervisord.start()
    (supervisord.sections / "theirs.conf").write_text("rubbish\n")
    reported: list[str] = []
    supervisord.controller().start([installed("a")], reported.append)
    assert supervisord.state("a") in ("STARTING", "RUNNING")
    assert str(supervisord.sections / "theirs.conf") in reported[0]


def test_start_without_a_supervisord_names_the_command_to_start_it(supervisord: Supervisord) -> None:
    with pytest.raises(NotRunning) as caught:
        supervisord.controller().start([installed("a")], ignore)
    assert caught.value.hint == f"supervisord -c {supervisord.configuration}"


def test_restart_finishes_the_task_and_starts_again(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=1)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.controller().restart(installed("a"), ignore)
    eventually(lambda: supervisord.events("a")[-1] == "ready")
    assert supervisord.events("a") == ["start", "ready", "term", "finished", "start", "ready"]
