"""One result per program, for `status` and for waiting until programs are healthy."""

from __future__ import annotations

import time
from typing import Any

import pytest

from procman.model import Kind, Level, Result, State
from procman.monitoring.checks.quick import check_lightly, is_at_work, most_severe
from tests.monitoring.checks.records import NAME, family, heartbeat, program, snapshot, state


def test_healthy_worker_reports_its_work_and_its_processes_are_measured() -> None:
    with family(2) as pid:
        [result] = check_lightly([snapshot(heartbeat(), state=state(pid=pid))])
    assert (result.code, result.level) == ("PM200", Level.OK)
    assert result.values["children"] == 2
    assert result.values["memory_bytes"] > 0


def test_worker_that_does_not_consume_is_reported_by_its_verdict() -> None:
    with family(2) as pid:
        stuck = heartbeat(idle_with_messages_since=time.monotonic() - 400)
        [result] = check_lightly([snapshot(stuck, state=state(pid=pid))])
    assert (result.code, result.level) == ("PM301", Level.CRITICAL)


def test_worker_without_a_heartbeat_is_reported_by_its_pool() -> None:
    with family(0) as pid:
        [result] = check_lightly([snapshot(program=program(pool="prefork"), state=state(pid=pid))])
    assert (result.code, result.level) == ("PM104", Level.CRITICAL)


def test_accepted_warning_hides_no_critical_result() -> None:
    with family(0) as pid:
        unclear = snapshot(program=program(pool=None), state=state(pid=pid))
        stuck = snapshot(heartbeat(idle_with_messages_since=time.monotonic() - 400), state=state(pid=pid))
        accepted, critical = check_lightly([unclear, stuck], accept=["PM104", "PM301"])
    assert (accepted.code, accepted.level, accepted.accepted) == ("PM104", Level.OK, True)
    assert (critical.code, critical.level, critical.accepted) == ("PM301", Level.CRITICAL, False)


def test_program_that_does_not_run_is_reported_by_its_state_only() -> None:
    [result] = check_lightly([snapshot(heartbeat(written=0), state=state(State.FATAL))])
    assert (result.code, result.level) == ("PM101", Level.CRITICAL)


def test_unknown_is_more_severe_than_warning_and_less_than_critical() -> None:
    results = [Result("", NAME, level, "") for level in Level]
    assert most_severe(results).level is Level.CRITICAL
    assert most_severe(results[:2]).level is Level.WARNING
    assert most_severe([results[1], results[3]]).level is Level.UNKNOWN


@pytest.mark.parametrize(
    ("says", "at_work"),
    [("consuming", True), ("importing", False), ("starting", False), ("disconnected", False), ("stopping", False)],
)
def test_worker_is_at_work_when_it_consumes(says: str, at_work: bool) -> None:
    assert is_at_work(snapshot(heartbeat(phase=says))) is at_work


@pytest.mark.parametrize(("phase", "at_work"), [("ticking", True), ("standby", True), ("starting", False)])
def test_beat_is_at_work_when_it_ticks_or_is_on_standby(phase: str, at_work: bool) -> None:
    beat = snapshot(heartbeat(kind="beat", phase=phase), program=program(Kind.BEAT), state=state(State.STARTING))
    assert is_at_work(beat) is at_work


@pytest.mark.parametrize(
    ("found", "at_work"),
    [
        ({}, True),
        ({"state": state(State.STARTING)}, False),
        ({"program": program(Kind.COMMAND)}, True),
    ],
)
def test_state_decides_without_a_heartbeat(found: dict[str, Any], at_work: bool) -> None:
    assert is_at_work(snapshot(**found)) is at_work


@pytest.mark.parametrize(("phase", "level"), [("consuming", Level.OK), ("importing", Level.WARNING)])
def test_worker_that_consumes_is_started_before_start_seconds_have_passed(phase: str, level: Level) -> None:
    with family(2) as pid:
        starting = snapshot(heartbeat(phase=phase), state=state(State.STARTING, pid))
        [result] = check_lightly([starting])
    assert (result.level, is_at_work(starting)) == (level, level is Level.OK)
