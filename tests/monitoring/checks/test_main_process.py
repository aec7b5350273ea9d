"""PM102 and PM103 against real processes."""

from __future__ import annotations

import os
import pwd
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from procman.model import Level
from procman.monitoring.checks.main_process import check_identity, check_restarts
from tests.monitoring.checks.records import family, heartbeat, program, reported, running, snapshot, state

ME = pwd.getpwuid(os.geteuid()).pw_name
OTHER = "nobody" if ME != "nobody" else "daemon"


@pytest.mark.parametrize("user", [None, ME])
def test_process_of_the_programs_user_is_ok(user: str | None) -> None:
    with family(0) as pid:
        found = running(snapshot(program=program(user=user), state=state(pid=pid, since=time.time())))
        assert reported(check_identity(found)) == (Level.OK, "")


def test_process_of_another_user_is_critical() -> None:
    with family(0) as pid:
        found = reported(check_identity(running(snapshot(program=program(user=OTHER), state=state(pid=pid)))))
    assert found == (
        Level.CRITICAL,
        f"process {pid} runs as {ME}, not as {OTHER}; it is not healed",
    )


def test_deleted_user_is_critical() -> None:
    with family(0) as pid:
        found = reported(check_identity(running(snapshot(program=program(user="no-such-user"), state=state(pid=pid)))))
    assert found == (Level.CRITICAL, "its user no-such-user no longer exists")


def test_launcher_run_by_another_python_is_critical() -> None:
    launcher = Path("/usr/local/lib/procman/demo/launcher.py")
    with family(0, str(launcher)) as pid:
        other = running(snapshot(state=state(pid=pid)), virtualenv=Path("/srv/other"))
        assert reported(check_identity(other)) == (
            Level.CRITICAL,
            f"process {pid} runs {sys.executable}, which is not in /srv/other",
        )
        own = replace(other, manifest=replace(other.manifest, virtualenv=Path(sys.executable).parent.parent))
        assert reported(check_identity(own)) == (Level.OK, "")


def test_process_that_started_later_than_its_process_manager_reports_is_critical() -> None:
    with family(0) as pid:
        found = running(snapshot(state=state(pid=pid, since=time.time() - 1000)))
        assert reported(check_identity(found)) == (
            Level.CRITICAL,
            f"process {pid} started later than the process manager reports, so it may be of another program",
        )


def test_heartbeat_overrides_a_start_time_by_a_clock_that_was_set() -> None:
    with family(0) as pid:
        found = running(snapshot(heartbeat(), state=state(pid=pid, since=time.time() - 1000)))
        assert reported(check_identity(found)) == (Level.OK, "")


@pytest.mark.parametrize(
    ("restarts", "age", "level", "detail"),
    [
        (0, 10, Level.OK, ""),
        (2, 10, Level.OK, ""),
        (3, 3700, Level.OK, ""),
        (3, 600, Level.WARNING, "restarted 3 times since the last start, stop or restart, most recently 10 min ago"),
        (17, 4, Level.WARNING, "restarted 17 times since the last start, stop or restart, most recently 4 s ago"),
    ],
)
def test_repeated_restarts_within_the_hour_are_a_warning(restarts: int, age: float, level: Level, detail: str) -> None:
    with family(0) as pid:
        found = running(snapshot(state=state(pid=pid, restarts=restarts)))
    aged = replace(found, processes={pid: found.processes[pid]._replace(age=age)})
    [result] = check_restarts(aged)
    assert (result.level, result.values) == (level, {"restarts": restarts})
    assert result.detail.endswith(detail)


def test_restarts_that_are_not_counted_give_no_result() -> None:
    assert list(check_restarts(running(snapshot(state=state(restarts=None))))) == []
