"""The meaning of systemd's properties; each set of them was recorded from systemd 252."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from procman.backends.systemd.states import (
    could_not_be_started,
    is_older_than_its_file,
    program_state,
    was_restarted_lately,
)
from procman.host.systemctl import Job, Unit, jobs_in
from procman.model import InstalledProgram, Kind, ProgramState, RunHistory, State
from tests.tables import for_each

UNIT = "catmaid-celery.service"

COMMON = {
    "LoadState": "loaded",
    "Restart": "always",
    "KillMode": "mixed",
    "Result": "success",
    "NRestarts": "0",
    "MainPID": "0",
    "ExecMainCode": "0",
    "ExecMainStatus": "0",
    "UnitFileState": "static",
    "NeedDaemonReload": "no",
    "DropInPaths": "",
    "FragmentPath": f"/etc/systemd/system/{UNIT}",
    "Job": "",
}


def stamps(inactive_exit: int, active_exit: int = 0, started: int = 0, ended: int = 0) -> dict[str, str]:
    """Return timestamps in seconds after the boot as systemd prints them, in microseconds."""
    return {
        "InactiveExitTimestampMonotonic": f"{inactive_exit * 1_000_000}",
        "ActiveExitTimestampMonotonic": f"{active_exit * 1_000_000}",
        "ExecMainStartTimestampMonotonic": f"{started * 1_000_000}",
        "ExecMainExitTimestampMonotonic": f"{ended * 1_000_000}",
        "StateChangeTimestampMonotonic": f"{max(inactive_exit, active_exit, ended) * 1_000_000}",
    }


NEVER = {"ActiveState": "inactive", "SubState": "dead", **stamps(0)}
RUNNING = {"ActiveState": "active", "SubState": "running", "MainPID": "251", **stamps(10, 0, 10)}
STOPPING = {"ActiveState": "deactivating", "SubState": "stop-sigterm", "MainPID": "251", **stamps(10, 20, 10)}
STOPPED = {"ActiveState": "inactive", "SubState": "dead", "ExecMainCode": "1", **stamps(10, 20, 10, 22)}
STOPPED_BY_FORCE = {
    "ActiveState": "failed",
    "SubState": "failed",
    "Result": "timeout",
    "ExecMainCode": "2",
    "ExecMainStatus": "9",
    **stamps(10, 20, 10, 40),
}
BACKOFF = {
    "ActiveState": "activating",
    "SubState": "auto-restart",
    "Result": "signal",
    "ExecMainCode": "2",
    "ExecMainStatus": "9",
    **stamps(31, 30, 10, 30),
}
STOPPED_IN_BACKOFF = {**BACKOFF, "ActiveState": "inactive", "SubState": "dead"}
ENDED = {"ActiveState": "inactive", "SubState": "dead", "Restart": "no", "ExecMainCode": "1", **stamps(10, 30, 10, 29)}
FAILED = {
    "ActiveState": "failed",
    "SubState": "failed",
    "Restart": "no",
    "Result": "exit-code",
    "ExecMainCode": "1",
    "ExecMainStatus": "1",
    **stamps(10, 30, 10, 29),
}
STOPPED_WITHOUT_RESTART = {**STOPPED, "Restart": "no"}
NOT_FOUND = {"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead", "Restart": "no", **stamps(0)}
GONE = {**RUNNING, "LoadState": "not-found", "Restart": "no", "KillMode": "control-group", "FragmentPath": ""}
MASKED = {"LoadState": "masked", "ActiveState": "inactive", "SubState": "dead", **stamps(0)}

WAITED_FOR = ("catmaid-worker.service", "postgresql@15-main.service")
JOBS = """\
133 postgresql@15-main.service start running
186 catmaid-celery.service start waiting
├─  \twaiting for job 133 (postgresql@15-main.service/start) -     -
└─  \twaiting for job 140 (catmaid-worker.service/restart) -     -
140 catmaid-worker.service restart running
"""
"""Printed by `systemctl list-jobs --before --no-legend --plain` of systemd 252."""


def read(properties: dict[str, str], job: str | None = None, *, autostart: bool = True) -> ProgramState:
    program = InstalledProgram("catmaid-celery", "worker.celery", Kind.WORKER, autostart, 600, 10, True, None, None)
    return program_state(program, Unit(UNIT, COMMON | properties), None if job is None else Job(job, WAITED_FOR))


@for_each(
    ("properties", "state", "desired"),
    [
        (NEVER, State.STOPPED, True),
        (RUNNING, State.RUNNING, True),
        ({**RUNNING, "ActiveState": "reloading"}, State.RUNNING, True),
        ({"ActiveState": "activating", "SubState": "start", **stamps(10)}, State.STARTING, True),
        ({"ActiveState": "activating", "SubState": "start-pre", **stamps(10)}, State.STARTING, True),
        (BACKOFF, State.BACKOFF, True),
        ({**BACKOFF, "SubState": "auto-restart-queued"}, State.BACKOFF, True),
        (STOPPING, State.STOPPING, True),
        (STOPPED, State.STOPPED, False),
        (STOPPED_BY_FORCE, State.FATAL, False),
        ({**STOPPED_BY_FORCE, "Result": "exit-code"}, State.STOPPED, False),
        (STOPPED_IN_BACKOFF, State.STOPPED, False),
        (ENDED, State.EXITED, True),
        (FAILED, State.FATAL, True),
        (STOPPED_WITHOUT_RESTART, State.STOPPED, False),
        (NOT_FOUND, State.UNKNOWN, True),
        (GONE, State.RUNNING, True),
        (MASKED, State.STOPPED, False),
        ({"LoadState": "bad-setting", "ActiveState": "inactive", **stamps(0)}, State.UNKNOWN, True),
        ({"ActiveState": "maintenance"}, State.UNKNOWN, True),
        ({}, State.UNKNOWN, True),
    ],
)
def test_state_and_desired_state_follow_from_the_properties(
    properties: dict[str, str], state: State, desired: bool
) -> None:
    found = read(properties)
    assert (found.state, found.desired) == (state, desired)


def test_desired_state_of_a_program_never_started_is_autostart() -> None:
    assert not read(NEVER, autostart=False).desired
    assert not read(NOT_FOUND, autostart=False).desired
    assert read(RUNNING, autostart=False).desired


@pytest.mark.parametrize(
    ("job", "desired"), [("stop", False), ("restart", True), ("start", True), ("try-restart", True)]
)
def test_queued_job_decides_the_desired_state(job: str, desired: bool) -> None:
    assert read(STOPPING, job).desired is desired
    assert read(RUNNING, job).desired is desired


@pytest.mark.parametrize("properties", [NEVER, STOPPED, STOPPED_BY_FORCE, ENDED])
def test_program_whose_start_waits_for_another_unit_is_starting(properties: dict[str, str]) -> None:
    # As beat is while a worker imports the app, which may take minutes: see Before= in a worker's unit.
    found = read(properties, "start")
    assert (found.state, found.desired) == (State.STARTING, True)
    assert found.detail == "waiting for catmaid-worker, postgresql@15-main"
    assert read(properties, "stop").state is not State.STARTING


def test_jobs_name_the_units_that_they_wait_for() -> None:
    assert jobs_in(JOBS) == {
        "postgresql@15-main.service": Job("start"),
        "catmaid-celery.service": Job("start", ("postgresql@15-main.service", "catmaid-worker.service")),
        "catmaid-worker.service": Job("restart"),
    }
    assert jobs_in("No jobs running.\n") == {}


@for_each(
    ("properties", "detail"),
    [
        (RUNNING, ""),
        (NEVER, "not started yet"),
        (STOPPED, ""),
        (STOPPED_BY_FORCE, "killed: it did not stop within its stop timeout"),
        (BACKOFF, "killed by SIGKILL"),
        ({**BACKOFF, "Result": "watchdog"}, "it hung (watchdog timeout)"),
        ({**BACKOFF, "ExecMainCode": "1", "ExecMainStatus": "1"}, "exit status 1"),
        ({**BACKOFF, "ExecMainCode": "2", "ExecMainStatus": "250"}, "killed by signal 250"),
        (GONE, "its unit file was removed"),
    ],
)
def test_detail_describes_the_event(properties: dict[str, str], detail: str) -> None:
    assert read(properties).detail == detail


def test_detail_of_a_failed_start_names_the_key() -> None:
    found = read({**BACKOFF, "Result": "exit-code", "ExecMainCode": "1", "ExecMainStatus": "226"})
    assert found.state is State.BACKOFF
    assert "exit status 226" in found.detail
    assert "writable_paths" in found.detail


def test_detail_names_drop_ins_except_those_of_the_distribution() -> None:
    theirs = "/usr/lib/systemd/system/service.d/10-timeout-abort.conf"
    ours = f"/etc/systemd/system/{UNIT}.d/override.conf"
    assert read({**RUNNING, "DropInPaths": theirs}).detail == ""
    assert read({**RUNNING, "DropInPaths": f"{theirs} {ours}"}).detail == f"changed by {ours}"
    everyones = "/etc/systemd/system/service.d/local.conf"
    assert everyones in read({**RUNNING, "DropInPaths": everyones}).detail


def test_detail_reports_a_unit_that_systemd_has_not_reloaded() -> None:
    assert "daemon-reload" in read({**RUNNING, "NeedDaemonReload": "yes"}).detail


def test_pid_and_start_are_those_of_the_main_process() -> None:
    now = int(time.monotonic())
    found = read({**RUNNING, "NRestarts": "3", **stamps(now - 100, 0, now - 60)})
    assert found.pid == 251
    assert found.restarts == 3
    assert found.since is not None
    assert abs(time.time() - 60 - found.since) < 2


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_clock_time_at_the_start_is_known(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {"UTC": "09:30:07 UTC", "Asia/Kolkata": "15:00:07 IST", "America/New_York": "04:30:07 EST"}[zone]
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        found = read({**RUNNING, "ExecMainStartTimestamp": f"Thu 2026-11-26 {shown}"})
        nothing = read({**RUNNING, "ExecMainStartTimestamp": "n/a"})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found.clock_then == datetime(2026, 11, 26, 9, 30, 7, tzinfo=timezone.utc).timestamp()
    assert (nothing.clock_then, read(RUNNING).clock_then) == (None, None)


def test_missing_properties_of_an_older_systemd_are_accepted() -> None:
    properties = {name: value for name, value in RUNNING.items() if name not in ("NRestarts", "DropInPaths")}
    program = InstalledProgram("catmaid-celery", "worker.celery", Kind.WORKER, True, 600, 10, True, None, None)
    found = program_state(program, Unit(UNIT, properties), None)
    assert found.state is State.RUNNING
    assert found.restarts is None


def test_start_that_failed_before_the_program_ran_has_a_reason() -> None:
    for status in (200, 203, 217, 226, 243):
        unit = Unit(UNIT, {**BACKOFF, "ExecMainCode": "1", "ExecMainStatus": str(status)})
        assert f"status {status}: " in could_not_be_started(unit)
    for status in (0, 1, 78, 255):
        assert not could_not_be_started(Unit(UNIT, {**BACKOFF, "ExecMainCode": "1", "ExecMainStatus": str(status)}))
    assert not could_not_be_started(Unit(UNIT, {**BACKOFF, "ExecMainStatus": "226"}))


def test_process_older_than_its_unit_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / UNIT
    file.touch()
    now = int(time.monotonic())
    unit = Unit(UNIT, {**RUNNING, "FragmentPath": str(file), **stamps(now - 60, 0, now - 60)})
    os.utime(file, (time.time() - 120, time.time() - 120))
    assert not is_older_than_its_file(unit)
    os.utime(file, (time.time() - 30, time.time() - 30))
    assert is_older_than_its_file(unit)
    file.unlink()
    assert is_older_than_its_file(unit)


WORKER = InstalledProgram("catmaid-celery", "worker.celery", Kind.WORKER, True, 600, 10, True, None, None)


@pytest.mark.parametrize(
    ("restarts", "age", "expected"), [("0", 5, False), ("3", 5, True), ("3", 3700, False), ("3", None, True)]
)
def test_journal_is_read_only_for_a_unit_that_was_restarted_lately(
    restarts: str, age: float | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 5000.0)  # a host that has just booted has no unit of that age
    started = 0 if age is None else int((5000 - age) * 1e6)
    process = {"MainPID": "0"} if age is None else {"ExecMainStartTimestampMonotonic": str(started)}
    unit = Unit(UNIT, {**COMMON, **RUNNING, "NRestarts": restarts, **process})
    assert was_restarted_lately(unit) is expected


def test_end_without_the_journal_has_its_time_only() -> None:
    unit = Unit(UNIT, {**COMMON, **RUNNING, "NRestarts": "2", **stamps(30, 20, 30)})
    [end] = program_state(WORKER, unit, None).history.unordered
    assert end.how == "how is in the journal"
    assert end.at == pytest.approx(time.time() - time.monotonic() + 20, abs=5)


def test_counter_of_systemd_is_replaced_by_that_of_the_journal_if_it_shows_an_order() -> None:
    unit = Unit(UNIT, {**COMMON, **RUNNING, "NRestarts": "5"})
    assert program_state(WORKER, unit, None, RunHistory(1, ordered=1.0)).restarts == 1
    assert program_state(WORKER, unit, None, RunHistory(1)).restarts == 5
