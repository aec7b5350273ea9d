"""The line that counts the programs of a project."""

from __future__ import annotations

from typing import Any

import pytest

from procman.model import Level, Result, State
from procman.monitoring.status import ProgramStatus
from procman.output.summary import named, summary
from tests.monitoring.checks.records import program, state


def shown(kind: State, *, is_started: bool = False, autostart: bool = True, **changed: Any) -> ProgramStatus:
    made = program(autostart=autostart)
    return ProgramStatus(made, state(kind, **changed), Result("PM101", made.name, Level.OK, ""), "", is_started)


RUNNING = shown(State.RUNNING, is_started=True)
OFF = shown(State.STOPPED, autostart=False, desired=False, since=None)
STOPPED = shown(State.STOPPED, desired=False, since=7.0)
STOPPED_AGAIN = shown(State.STOPPED, autostart=False, desired=False, since=7.0)
FAILED = shown(State.FATAL)


@pytest.mark.parametrize(
    ("programs", "line"),
    [
        ([RUNNING] * 3, "3 of 3 running"),
        ([RUNNING, *[OFF] * 36], "1 of 37 running, 36 not started (autostart = false)"),
        ([STOPPED, STOPPED_AGAIN], "0 of 2 running, 2 stopped"),
        ([OFF, RUNNING, FAILED], "1 of 3 running, 1 FATAL, 1 not started (autostart = false)"),
        ([shown(State.STOPPING, desired=False)], "0 of 1 running, 1 STOPPING"),
    ],
)
def test_summary_counts_programs_that_should_run_first(programs: list[ProgramStatus], line: str) -> None:
    assert summary(programs) == line


def test_many_names_are_counted() -> None:
    assert named(["a", "b", "c", "d"]) == "a, b, c, d"
    assert named(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
