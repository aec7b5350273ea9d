"""The verdicts on heartbeats as results: PM200 to PM206, PM301 to PM303, PM401 and PM402."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from procman.agent.verdict import CODES, Evidence, Thresholds, verdict
from procman.host.write_problem import WriteProblem
from procman.model import Kind, Level, Result, State
from procman.monitoring.checks.heartbeat import HINTS, check_readable, check_verdict, check_written
from procman.monitoring.checks.inputs import Heartbeat
from tests.monitoring.checks.records import (
    MANIFEST,
    NAME,
    heartbeat,
    program,
    reported,
    running,
    snapshot,
    state,
)
from tests.tables import for_each


def ago(seconds: float) -> float:
    return time.monotonic() - seconds


@for_each(
    ("changed", "code", "level"),
    [
        ({}, "PM200", Level.OK),
        ({"written": ago(60)}, "PM201", Level.CRITICAL),
        ({"loop": ago(60), "queues_asked": ago(1)}, "PM202", Level.CRITICAL),
        ({"loop": ago(60), "queues_asked": None}, "PM202", Level.WARNING),
        ({"loop": ago(60), "pool": "solo"}, "PM202", Level.UNKNOWN),
        ({"phase": "disconnected"}, "PM203", Level.WARNING),
        ({"missing": ["tasks: there is no such signal"]}, "PM204", Level.WARNING),
        ({"idle_with_messages_since": ago(400)}, "PM301", Level.CRITICAL),
        ({"reserved": 4, "progress": ago(400)}, "PM302", Level.CRITICAL),
        ({"queues": [{"name": "celery", "messages": 0, "consumers": 0, "since": None}]}, "PM303", Level.WARNING),
        ({"kind": "beat", "tick_due": ago(60)}, "PM401", Level.CRITICAL),
        ({"kind": "beat", "next_due": ago(60)}, "PM402", Level.CRITICAL),
    ],
)
def test_each_verdict_is_the_result_of_its_check(changed: dict[str, Any], code: str, level: Level) -> None:
    each = snapshot(heartbeat(**changed))
    found = {code: list(check_verdict(code, running(each))) for code in CODES}
    [result] = found.pop(code)
    assert (result.code, result.program, result.level) == (code, NAME, level)
    assert result.detail
    assert bool(result.hint) == (level is not Level.OK)
    assert not any(found.values())


@pytest.mark.parametrize(("answers", "word"), [(True, "procman restart"), (False, "procman health --probe")])
def test_beat_that_waits_for_the_broker_is_not_to_be_restarted(answers: bool, word: str) -> None:
    stuck = snapshot(heartbeat(kind="beat", tick_due=ago(60), queues_asked=ago(1) if answers else None))
    [result] = check_verdict("PM401", running(stuck))
    assert word in result.hint


@pytest.mark.parametrize(
    ("changed", "code", "word"),
    [
        ({"pool_unready_since": ago(400), "pool_starting": 2}, "PM203", "worker_process_init"),
        ({"ready": False}, "PM203", "gevent or eventlet needs that pool"),
        ({"phase": "importing", "phase_since": ago(400)}, "PM203", "procman health --probe"),
        (
            {
                "kind": "beat",
                "phase": "standby",
                "phase_since": ago(900),
                "lock_until": ago(900),
                "lock": "redbeat::lock",
            },
            "PM401",
            "procman restart",
        ),
        ({"kind": "beat", "phase": "starting", "phase_since": ago(400)}, "PM401", "procman health --probe"),
    ],
    ids=["slow pool", "never ready", "slow import", "expired lock", "slow start of beat"],
)
def test_hint_depends_on_the_phase(changed: dict[str, Any], code: str, word: str) -> None:
    [result] = check_verdict(code, running(snapshot(heartbeat(**changed))))
    assert result.level is Level.WARNING
    assert word in result.hint


@pytest.mark.parametrize(
    ("evidence", "word"),
    [
        (Evidence(is_stopped=True), "healing does so sooner"),
        (Evidence(is_stopped=True, works=True), "only at its stop timeout"),
        (Evidence(acted=True), "healing does not restart it"),
        (Evidence(excuse="a debugger is attached"), "debugger is detached"),
    ],
    ids=["frozen", "frozen with tasks", "runs", "debugger"],
)
def test_hint_for_an_old_heartbeat_describes_what_healing_does(evidence: Evidence, word: str) -> None:
    content = heartbeat(written=ago(60))
    found = verdict(content, time.monotonic(), Thresholds(30, 300, 600), evidence)
    [result] = check_verdict("PM201", running(snapshot(content, verdict=found)))
    assert word in result.hint


def test_every_verdict_that_is_not_ok_has_a_hint() -> None:
    assert set(HINTS) == set(CODES) - {"PM200"}


def test_figures_of_the_heartbeat_are_among_the_values() -> None:
    queues = [
        {"name": "celery", "messages": 10, "consumers": 1, "since": None},
        {"name": "crop", "messages": 2, "consumers": 1, "since": None},
        {"name": "far", "messages": None, "consumers": None, "since": None},
    ]
    [result] = check_verdict("PM200", running(snapshot(heartbeat(busy=2, queues=queues))))
    assert result.values == {"slots": 2, "busy": 2, "reserved": 0, "finished": 7, "messages": 12}


def test_program_without_a_process_has_no_verdict() -> None:
    each = snapshot(heartbeat(), state=state(State.BACKOFF))
    assert not any(list(check_verdict(code, running(each))) for code in CODES)


def readable(**changed: Any) -> Result:
    [result] = check_readable(running(snapshot(**changed), processes={}))
    return result


def test_valid_heartbeat_is_readable() -> None:
    assert reported(check_readable(running(snapshot(heartbeat())))) == (Level.OK, "")


def test_corrupt_heartbeat_is_a_warning() -> None:
    result = readable(heartbeat=Heartbeat(None, "its heartbeat /x is corrupt: nonsense"))
    assert (result.level, result.detail) == (Level.WARNING, "its heartbeat /x is corrupt: nonsense")
    assert "ls -l of that file" in result.hint
    assert readable(heartbeat=Heartbeat(None, "why", remedy="Remove it")).hint == "Remove it"


def test_program_that_was_just_started_needs_no_heartbeat_yet() -> None:
    result = readable()
    assert (result.level, result.detail) == (Level.OK, "it has just been started and has no heartbeat yet")


def without_heartbeat(age: float, state_directory: Path, **changed: Any) -> Result:
    """Return PM205 of a program without a heartbeat whose process is `age` seconds old."""
    found = running(snapshot(**changed), directories=replace(MANIFEST.directories, state=state_directory))
    process = found.processes[found.programs[0].state.pid or 0]
    [result] = check_readable(replace(found, processes={process.pid: process._replace(age=age)}))
    return result


@pytest.mark.parametrize(
    ("due", "hint"), [("", f"procman logs {NAME} shows why"), ("newer", f"procman restart {NAME}")]
)
def test_program_without_a_heartbeat_long_after_its_start_is_a_warning(tmp_path: Path, due: str, hint: str) -> None:
    (tmp_path / "run" / NAME).mkdir(parents=True)
    result = without_heartbeat(31, tmp_path, restart_due=due)
    assert (result.level, result.hint) == (Level.WARNING, hint)
    assert without_heartbeat(29, tmp_path, restart_due=due).level is Level.OK


def test_absent_heartbeat_of_a_program_without_a_run_directory_names_the_directory(tmp_path: Path) -> None:
    result = without_heartbeat(31, tmp_path)
    assert (result.level, result.hint) == (Level.WARNING, "procman install")
    assert result.detail.endswith(f"only its processes can be checked: its directory is missing: {tmp_path}/run/{NAME}")


@pytest.mark.parametrize("other", [program(Kind.COMMAND), program(launcher=False)])
def test_commands_and_programs_without_launcher_need_no_heartbeat(other: Any) -> None:
    assert list(check_readable(running(snapshot(program=other)))) == []


def test_running_program_that_cannot_write_its_heartbeat_is_a_warning() -> None:
    problem = WriteProblem("/run/x belongs to root, not to celery", "chown celery /run/x")
    [result] = check_written(running(snapshot(heartbeat=Heartbeat(heartbeat(written=ago(60)), write_problem=problem))))
    assert (result.level, result.hint) == (Level.WARNING, problem.hint)
    assert result.detail == f"it cannot write its heartbeat, so its health is unknown: {problem.reason}"
    assert list(check_written(running(snapshot(heartbeat())))) == []
