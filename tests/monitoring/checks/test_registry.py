"""The table of checks against its documentation and the verdict's codes."""

from __future__ import annotations

import re
from pathlib import Path

from procman.agent.verdict import CODES
from procman.model import Level, State
from procman.monitoring.checks.registry import RUNNING, run
from tests.monitoring.checks.records import heartbeat, program, running, snapshot, state

DOCUMENT = (Path(__file__).parents[3] / "docs" / "checks.md").read_text()


def test_every_check_of_what_runs_is_explained_in_its_half_of_the_document_and_no_other() -> None:
    half = DOCUMENT.partition("## Running programs")[2]
    explained = re.findall(r"^\| (PM\d{3}) \| (.*?) \|", half, re.MULTILINE)
    assert dict(explained) == {check.code: check.title for check in RUNNING}
    assert len(explained) == len(RUNNING)


def test_codes_are_in_order_and_each_is_there_once() -> None:
    codes = [check.code for check in RUNNING]
    assert codes == sorted(set(codes))


def test_whatever_the_verdict_may_say_has_a_check() -> None:
    assert set(CODES) <= {check.code for check in RUNNING}


def test_a_sound_worker_passes_all_checks_under_their_own_codes() -> None:
    found = {check.code: list(check.function(running(snapshot(heartbeat(pool="solo"))))) for check in RUNNING}
    assert all(result.code == code for code, results in found.items() for result in results)
    assert all(result.level is Level.OK for results in found.values() for result in results)
    assert found["PM200"]


def test_a_program_that_was_stopped_on_purpose_is_not_complained_of() -> None:
    stopped = snapshot(state=state(State.STOPPED, desired=False), program=program())
    assert {result.level for result in run(RUNNING, running(stopped))} == {Level.OK}
