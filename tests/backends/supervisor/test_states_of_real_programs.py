"""The reported states of real programs: pid, start time, restarts and desired state."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest

from procman.model import State
from tests.backends.supervisor.real_supervisord import Supervisord, eventually, ignore, installed, state

pytestmark = pytest.mark.supervisord


def test_states_are_in_the_order_of_the_programs(supervisord: Supervisord) -> None:
    for name in ("a", "b", "c"):
        supervisord.section(name)
    supervisord.start()
    states = supervisord.controller().states([installed("c"), installed("a"), installed("b")])
    assert [each.name for each in states] == ["c", "a", "b"]


def test_running_program_has_pid_and_start_time(supervisord: Supervisord) -> None:
    supervisord.section("a")
    before = time.time()
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "RUNNING")
    seen = state(supervisord, installed("a"))
    assert (seen.state, seen.desired, seen.restarts) == (State.RUNNING, True, 0)
    assert seen.pid == supervisord.info("a")["pid"]
    assert seen.since is not None
    assert int(before) <= seen.since <= time.time()


@pytest.mark.parametrize("autostart", [True, False])
def test_desired_state_before_the_first_start_is_autostart(supervisord: Supervisord, autostart: bool) -> None:
    supervisord.section("a", autostart="false")
    supervisord.start()
    seen = state(supervisord, installed("a", autostart=autostart))
    assert (seen.state, seen.desired, seen.pid, seen.since) == (State.STOPPED, autostart, None, None)


def test_stopped_program_should_not_run(supervisord: Supervisord) -> None:
    supervisord.section("a")
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "RUNNING")
    supervisord.stop("a")
    seen = state(supervisord, installed("a"))
    assert (seen.state, seen.desired) == (State.STOPPED, False)


def test_stopping_program_should_not_run(supervisord: Supervisord) -> None:
    supervisord.worker("a", task_seconds=60)
    supervisord.start()
    eventually(lambda: "ready" in supervisord.events("a"))
    supervisord.client.call("stopProcess", "a", False)
    seen = state(supervisord, installed("a"))
    assert (seen.state, seen.desired) == (State.STOPPING, False)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"command": "/nonexistent/x", "startretries": 0}, State.FATAL),
        ({"command": "/nonexistent/x", "startretries": 1000}, State.BACKOFF),
        ({"command": "sh -c 'exit 3'", "autorestart": "false", "startsecs": 0}, State.EXITED),
    ],
)
def test_failing_program_should_still_run(supervisord: Supervisord, options: dict[str, str], expected: State) -> None:
    supervisord.section("a", **options)
    supervisord.start()
    seen = eventually(lambda: next((s for s in [state(supervisord, installed("a"))] if s.state is expected), None))
    assert seen is not None
    assert seen.desired
    assert seen.detail


def test_program_that_is_not_loaded_is_unknown(supervisord: Supervisord) -> None:
    supervisord.start()
    supervisord.section("a")
    seen = state(supervisord, installed("a", autostart=False))
    assert (seen.state, seen.desired) == (State.UNKNOWN, False)
    assert "procman start" in seen.detail


def test_program_in_an_unmanaged_group_is_not_treated_as_procmans(supervisord: Supervisord) -> None:
    supervisord.section("a").write_text("[program:a]\ncommand=sleep 1000\n[group:g]\nprograms=a\n")
    supervisord.start()
    seen = state(supervisord, installed("a"))
    assert seen.state is State.UNKNOWN
    assert "g:a" in seen.detail


@pytest.mark.parametrize("log", ["%(here)s/log", "log"])
def test_restarts_are_counted_since_the_last_start_stop_or_restart(supervisord: Supervisord, log: str) -> None:
    # Only supervisord can resolve a relative path.
    supervisord.configure(logfile=log)
    supervisord.section("a")
    supervisord.section("b")
    supervisord.start()
    for _ in range(2):
        eventually(lambda: supervisord.state("a") == "RUNNING")
        pid = supervisord.info("a")["pid"]
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: supervisord.info("a")["pid"] not in (pid, 0))  # type: ignore[misc]
    assert [each.restarts for each in supervisord.controller().states([installed("a"), installed("b")])] == [2, 0]
    supervisord.controller().restart(installed("a"), ignore)
    assert state(supervisord, installed("a")).restarts == 0


@pytest.mark.parametrize("options", [{"loglevel": "warn"}, {"logfile": "/dev/null"}])
def test_restarts_are_unknown_without_a_readable_log(supervisord: Supervisord, options: dict[str, str]) -> None:
    supervisord.configure(**options)
    supervisord.section("a")
    supervisord.start()
    eventually(lambda: supervisord.state("a") == "RUNNING")
    seen = state(supervisord, installed("a"))
    assert (seen.state, seen.restarts) == (State.RUNNING, None)


def test_crash_loop_is_counted_until_it_is_started_by_hand_out_of_backoff(supervisord: Supervisord) -> None:
    """supervisord logs no stop of a program in BACKOFF, and the start looks like its own next attempt."""
    broken = supervisord.directory / "broken"
    broken.touch()
    supervisord.section("a", f"sh -c 'test ! -e {broken} && exec sleep 1000; kill -9 $$'", startsecs=1)
    program = replace(installed("a"), start_seconds=1)
    supervisord.start()
    # supervisord is asked for the state before its log is read: between the two the next attempt may start, and fail.
    seen = eventually(
        lambda: next(
            (s for s in [state(supervisord, program)] if s.history.failures >= 3 and s.state is State.BACKOFF), None
        )
    )
    assert seen is not None
    assert seen.restarts in (seen.history.failures - 1, seen.history.failures)
    assert {end.how for end in seen.history.unordered} == {"killed by SIGKILL"}
    broken.unlink()
    supervisord.stop("a")
    supervisord.client.call("startProcess", "a", False)
    seen = state(supervisord, program)
    assert (seen.restarts, seen.history.failures, seen.history.unordered) == (0, 0, ())


def test_end_has_the_right_time_if_supervisord_has_another_time_zone_than_the_caller(
    supervisord: Supervisord,
) -> None:
    supervisord.section("a", "false", autorestart="false")
    before = time.time()
    supervisord.start(TZ="Asia/Tokyo")
    # No program runs whose start would show the time zone of the log.
    eventually(lambda: supervisord.state("a") == "EXITED")
    [end] = supervisord.controller().histories([installed("a")], before)["a"].ends
    assert int(before) <= end.at <= time.time()
