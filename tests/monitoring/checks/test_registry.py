"""The table of checks, compared with its documentation and the codes of the verdict."""

from __future__ import annotations

from procman.agent.verdict import CODES
from procman.model import Level, State
from procman.monitoring.checks.registry import RUNNING, run
from tests.monitoring.checks.records import heartbeat, program, running, snapshot, state


def test_codes_are_unique_and_in_order() -> None:
    codes = [check.code for check in RUNNING]
    assert codes == sorted(set(codes))


def test_every_code_of_a_verdict_has_a_check() -> None:
    assert set(CODES) <= {check.code for check in RUNNING}


def test_healthy_worker_passes_all_checks_under_their_own_codes() -> None:
    found = {check.code: list(check.function(running(snapshot(heartbeat(pool="solo"))))) for check in RUNNING}
    assert all(result.code == code for code, results in found.items() for result in results)
    assert all(result.level is Level.OK for results in found.values() for result in results)
    assert found["PM200"]


def test_program_that_was_stopped_on_purpose_passes_all_checks() -> None:
    stopped = snapshot(state=state(State.STOPPED, desired=False), program=program())
    assert {result.level for result in run(RUNNING, running(stopped))} == {Level.OK}
