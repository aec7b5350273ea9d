"""A check that fails for one program is UNKNOWN for that program only."""

from __future__ import annotations

from collections.abc import Iterator

from procman.model import Level, Result
from procman.monitoring.checks.barrier import run_each
from procman.monitoring.checks.inputs import ProjectSnapshot
from procman.monitoring.checks.registry import Check, Reach
from tests.monitoring.checks.records import program, running, snapshot, state

NAMES = ("demo-a", "demo-b", "demo-c")


def three() -> ProjectSnapshot:
    return running(*(snapshot(program=program(name=name), state=state(pid=pid)) for pid, name in enumerate(NAMES, 1)))


def ok(subject: ProjectSnapshot) -> Iterator[Result]:
    yield from (Result("PM901", each.program.name, Level.OK, "") for each in subject.programs)


def fails_for_b(subject: ProjectSnapshot) -> Iterator[Result]:
    for each in subject.programs:
        if each.program.name == "demo-b":
            raise FileNotFoundError("/secret/place")
        yield Result("PM902", each.program.name, Level.OK, "")


def fails(subject: ProjectSnapshot) -> Iterator[Result]:
    yield Result("PM903", None, Level.OK, str(len(subject.programs)))
    raise OverflowError


def test_other_programs_and_checks_keep_their_results() -> None:
    found = run_each([Check("PM901", "", ok), Check("PM902", "", fails_for_b), Check("PM901", "", ok)], three())
    levels = [(each.code, each.program, each.level) for each in found.results]
    before = [("PM901", name, Level.OK) for name in NAMES]
    failed = ("PM902", "demo-b", Level.UNKNOWN)
    assert levels == [*before, ("PM902", "demo-a", Level.OK), failed, ("PM902", "demo-c", Level.OK), *before]


def test_result_names_the_error_and_the_next_step_and_the_traceback_is_returned() -> None:
    found = run_each([Check("PM902", "", fails_for_b)], three())
    result = found.results[1]
    assert "FileNotFoundError" in result.detail
    assert "/secret/place" not in result.detail
    assert "procman heal shows the traceback" in result.hint
    [traceback] = found.tracebacks
    assert "fails_for_b" in traceback


def test_check_of_the_project_is_unknown_once() -> None:
    found = run_each([Check("PM903", "", fails, Reach.PROJECT)], three())
    assert [(each.code, each.program, each.level) for each in found.results] == [("PM903", None, Level.UNKNOWN)]
    assert len(found.tracebacks) == 1


def test_check_of_one_program_knows_the_processes_of_the_others() -> None:
    seen = []

    def check(subject: ProjectSnapshot) -> Iterator[Result]:
        if len(subject.programs) > 1:
            raise ValueError
        seen.append(sorted(subject.others))
        yield from ()

    run_each([Check("PM904", "", check)], three())
    assert seen == [[2, 3], [1, 3], [1, 2]]
