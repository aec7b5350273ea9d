"""PM102 and PM103 against real processes."""

from __future__ import annotations

import os
import pwd
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from procman.model import Level
from procman.monitoring.checks.inputs import ProjectSnapshot
from procman.monitoring.checks.main_process import check_identity, check_restarts
from procman.monitoring.checks.quick import check_lightly, with_ends
from tests.monitoring.checks.records import family, heartbeat, program, reported, running, snapshot, state

ME = pwd.getpwuid(os.geteuid()).pw_name
OTHER = "nobody" if ME != "nobody" else "daemon"


def aged(found: ProjectSnapshot, seconds: float = 600) -> ProjectSnapshot:
    """Return `found` with processes of this age."""
    return replace(found, processes={pid: each._replace(age=seconds) for pid, each in found.processes.items()})


@pytest.mark.parametrize("user", [None, ME])
def test_process_of_the_programs_user_is_ok(user: str | None) -> None:
    with family(0) as pid:
        found = running(snapshot(program=program(user=user), state=state(pid=pid, since=time.time())))
        assert reported(check_identity(found)) == (Level.OK, "")


def test_process_of_another_user_is_critical() -> None:
    with family(0) as pid:
        found = reported(check_identity(aged(running(snapshot(program=program(user=OTHER), state=state(pid=pid))))))
    assert found == (
        Level.CRITICAL,
        f"process {pid} runs as {ME}, not as {OTHER}; it is not healed",
    )


def test_process_that_was_just_forked_is_still_its_process_managers() -> None:
    """supervisord changes the user and runs the start script only after the fork."""
    with family(0) as pid:
        found = running(snapshot(program=program(user=OTHER), state=state(pid=pid)))
        levels = [reported(check_identity(aged(found, seconds)))[0] for seconds in (0, 4, 6)]
    assert levels == [Level.OK, Level.OK, Level.CRITICAL]


def test_deleted_user_is_critical() -> None:
    with family(0) as pid:
        found = reported(
            check_identity(aged(running(snapshot(program=program(user="no-such-user"), state=state(pid=pid)))))
        )
    assert found == (Level.CRITICAL, "its user no-such-user no longer exists")


def test_launcher_run_by_another_python_is_critical() -> None:
    launcher = Path("/usr/local/lib/procman/demo/launcher.py")
    with family(0, str(launcher)) as pid:
        other = aged(running(snapshot(state=state(pid=pid)), virtualenv=Path("/srv/other")))
        assert reported(check_identity(other)) == (
            Level.CRITICAL,
            f"process {pid} runs {sys.executable}, which is not in /srv/other",
        )
        own = replace(other, manifest=replace(other.manifest, virtualenv=Path(sys.executable).parent.parent))
        assert reported(check_identity(own)) == (Level.OK, "")


def test_process_that_started_later_than_its_process_manager_reports_is_critical() -> None:
    with family(0) as pid:
        found = aged(running(snapshot(state=state(pid=pid, since=time.time() - 1000))))
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
        (3, 200, Level.WARNING, "restarted 3 times since the last start, stop or restart, most recently 3m20s ago"),
        (3, 310, Level.OK, ""),
        (17, 4, Level.WARNING, "restarted 17 times since the last start, stop or restart, most recently 4s ago"),
    ],
)
def test_repeated_restarts_are_a_warning_for_five_minutes_without_a_heartbeat(
    restarts: int, age: float, level: Level, detail: str
) -> None:
    with family(0) as pid:
        found = running(snapshot(state=state(pid=pid, restarts=restarts)))
    [result] = check_restarts(aged(found, age))
    assert (result.level, result.values) == (level, {"restarts": restarts})
    assert result.detail.endswith(detail)


@pytest.mark.parametrize(
    ("says", "level"),
    [
        ({"worked": 310}, Level.OK),
        ({"worked": 290}, Level.WARNING),
        ({"worked": 310, "phase": "starting"}, Level.WARNING),
        ({"worked": 310, "idle_with_messages_since": 0}, Level.WARNING),
    ],
)
@pytest.mark.parametrize("kind", ["worker", "beat"])
def test_repeated_restarts_are_a_warning_until_the_program_has_worked_for_five_minutes(
    kind: str, says: dict[str, Any], level: Level
) -> None:
    """An app that waits for its database ages, but does not work."""
    if kind == "beat" and "idle_with_messages_since" in says:
        says = {"worked": 310, "tick_due": 0}
    content = {**says, "phase_since": time.monotonic() - says["worked"]}
    content.pop("worked")
    with family(0) as pid:
        found = aged(running(snapshot(heartbeat(kind, **content), state=state(pid=pid, restarts=7))), 2000)
    assert reported(check_restarts(found))[0] is level


def test_status_reports_repeated_restarts_of_a_program_that_is_healthy_again() -> None:
    with family(2) as pid:
        new = snapshot(heartbeat(phase_since=time.monotonic() - 60), state=state(pid=pid, restarts=7))
        old = snapshot(heartbeat(), state=state(pid=pid, restarts=7))
        results = [with_ends(each, result) for each in (new, old) for result in check_lightly([each])]
        [known] = [with_ends(new, result, ["PM103"]) for result in check_lightly([new])]
    assert [(each.code, each.level) for each in results] == [("PM103", Level.WARNING), ("PM200", Level.OK)]
    assert (known.code, known.level, known.accepted) == ("PM103", Level.OK, True)
    assert results[0].values["children"] == 2


def test_restarts_that_are_not_counted_give_no_result() -> None:
    assert list(check_restarts(running(snapshot(state=state(restarts=None))))) == []
