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
from tests.monitoring.checks.records import family, heartbeat, program, running, snapshot, state, told

ME = pwd.getpwuid(os.geteuid()).pw_name
OTHER = "nobody" if ME != "nobody" else "daemon"


@pytest.mark.parametrize("user", [None, ME])
def test_a_process_of_the_right_user_is_the_programs_own(user: str | None) -> None:
    with family(0) as pid:
        found = running(snapshot(program=program(user=user), state=state(pid=pid, since=time.time())))
        assert told(check_identity(found)) == (Level.OK, "")


def test_a_process_of_another_user_is_not() -> None:
    with family(0) as pid:
        found = told(check_identity(running(snapshot(program=program(user=OTHER), state=state(pid=pid)))))
    assert found == (Level.CRITICAL, f"process {pid} runs as uid {os.geteuid()}, not as {OTHER}")


def test_a_user_that_is_gone_is_told() -> None:
    with family(0) as pid:
        found = told(check_identity(running(snapshot(program=program(user="no-such-user"), state=state(pid=pid)))))
    assert found == (Level.CRITICAL, "its user no-such-user does not exist any more")


def test_a_launcher_run_by_another_python_is_not_the_programs_own() -> None:
    launcher = Path("/usr/local/lib/procman/demo/launcher.py")
    with family(0, str(launcher)) as pid:
        other = running(snapshot(state=state(pid=pid)), virtualenv=Path("/srv/other"))
        assert told(check_identity(other)) == (
            Level.CRITICAL,
            f"process {pid} runs {sys.executable}, which is not in /srv/other",
        )
        own = replace(other, manifest=replace(other.manifest, virtualenv=Path(sys.executable).parent.parent))
        assert told(check_identity(own)) == (Level.OK, "")


def test_a_process_younger_than_its_process_manager_says_may_be_anothers() -> None:
    with family(0) as pid:
        found = running(snapshot(state=state(pid=pid, since=time.time() - 1000)))
        assert told(check_identity(found)) == (
            Level.CRITICAL,
            f"process {pid} is younger than the process manager says: it may be another program's",
        )


def test_its_heartbeat_counts_for_more_than_a_clock_that_was_set() -> None:
    with family(0) as pid:
        found = running(snapshot(heartbeat(), state=state(pid=pid, since=time.time() - 1000)))
        assert told(check_identity(found)) == (Level.OK, "")


@pytest.mark.parametrize(
    ("restarts", "age", "level", "detail"),
    [
        (0, 10, Level.OK, ""),
        (2, 10, Level.OK, ""),
        (3, 3700, Level.OK, ""),
        (3, 600, Level.WARNING, "restarted 3 times since the last order, the last time 10 min ago"),
        (17, 4, Level.WARNING, "restarted 17 times since the last order, the last time 4 s ago"),
    ],
)
def test_restarts_within_the_hour_are_told(restarts: int, age: float, level: Level, detail: str) -> None:
    with family(0) as pid:
        found = running(snapshot(state=state(pid=pid, restarts=restarts)))
    aged = replace(found, processes={pid: found.processes[pid]._replace(age=age)})
    [result] = check_restarts(aged)
    assert (result.level, result.values) == (level, {"restarts": restarts})
    assert result.detail.endswith(detail)


def test_nothing_is_said_of_restarts_that_nobody_counts() -> None:
    assert list(check_restarts(running(snapshot(state=state(restarts=None))))) == []
