"""A warning that `accept` names is OK and marked; PM605 reports a code that is accepted for nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from procman.model import Level, Result
from procman.monitoring.checks.accepted import with_accepted
from procman.monitoring.checks.registry import run
from procman.preflight.inputs import Host, Interpreter, PreflightFacts
from procman.preflight.registry import BEFORE
from tests.preflight.records import valid

LIMITED = Host(warnings=("systemd ends programs after 90 s",))


def accepting(*codes: str, **facts: Any) -> PreflightFacts:
    before = valid()
    return replace(before, project=replace(before.project, accept=codes), **facts)


def ended(before: PreflightFacts) -> list[str]:
    return [result.detail.split()[2].strip(",") for result in run(BEFORE, before) if result.code == "PM605"]


@pytest.mark.parametrize(
    ("level", "becomes"),
    [(Level.WARNING, Level.OK), *((each, each) for each in (Level.CRITICAL, Level.UNKNOWN, Level.OK))],
)
def test_only_a_warning_is_accepted(level: Level, becomes: Level) -> None:
    (result,) = with_accepted([Result("PM773", None, level, "why", "remedy")], ["PM773"])
    assert (result.level, result.accepted) == (becomes, level is Level.WARNING)
    assert (result.detail, result.hint) == ("why", "remedy")


def test_warning_of_another_code_stays() -> None:
    result = Result("PM743", None, Level.WARNING, "why")
    assert with_accepted([result], ["PM773"]) == [result]


def test_accepted_warning_that_occurs_is_not_reported_as_ended() -> None:
    assert ended(accepting("PM773", host=LIMITED)) == []


def test_accepted_warning_that_no_longer_occurs_is_a_warning_with_the_remedy() -> None:
    before = accepting("PM773", "PM743", host=LIMITED)
    (result,) = [each for each in run(BEFORE, before) if each.level is not Level.OK and each.code == "PM605"]
    assert result.level is Level.WARNING
    assert result.detail == "accept names PM743, but this warning no longer occurs"
    assert result.hint == f"Remove PM743 from accept in [project] of {before.project.configuration_file}."


DOUBTFUL: list[Callable[[], PreflightFacts]] = [
    lambda: accepting("PM773", interpreter=Interpreter("", "cannot run it"), asked=()),
    lambda: accepting("PM773", sees_everything=False),
    lambda: accepting("PM725", "PM755", "PM772", "PM774"),
    lambda: accepting("PM503", "PM601", "PM907"),
]


@pytest.mark.parametrize(
    "before",
    DOUBTFUL,
    ids=["a-check-failed", "caller-sees-little", "comes-and-goes", "of-another-command"],
)
def test_nothing_is_judged_that_may_come_back_by_itself(before: Callable[[], PreflightFacts]) -> None:
    assert ended(before()) == []
