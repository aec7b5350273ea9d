"""A cause that several programs share is printed once."""

from __future__ import annotations

from procman.model import Level, Result
from procman.output.shared import in_order, shared


def stopped(program: str, hint: str = "") -> Result:
    return Result("PM101", program, Level.CRITICAL, "stopped", hint)


def test_results_that_differ_only_in_the_name_are_one() -> None:
    results = [stopped("a-1", "procman start a-1"), Result("PM602", "a-1", Level.WARNING, "due"), stopped("a-2")]
    assert [names for names, _ in shared(results)] == [["a-1"], ["a-1"], ["a-2"]]
    [(names, result)] = shared([stopped(name, f"procman start {name}") for name in ("a-1", "a-2", "b")])
    assert (names, result.detail, result.hint) == (["a-1", "a-2", "b"], "stopped", "procman start NAME")


def test_result_of_a_single_program_is_unchanged() -> None:
    assert shared([stopped("a", "procman start a")]) == [(["a"], stopped("a", "procman start a"))]


def test_result_of_the_project_has_no_names() -> None:
    result = Result("PM113", None, Level.CRITICAL, "supervisord is not running")
    assert shared([result, result]) == [([], result)]


def test_most_severe_results_and_then_their_possible_causes_are_first() -> None:
    warning, cause = Result("PM602", "a", Level.WARNING, ""), Result("PM113", None, Level.CRITICAL, "")
    disk = Result("PM603", None, Level.WARNING, "")
    assert in_order([warning, stopped("a"), cause, disk]) == [cause, stopped("a"), warning, disk]
