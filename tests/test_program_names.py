"""The programs that a NAME on the command line selects."""

from __future__ import annotations

import pytest

from procman.errors import ConfigurationError
from procman.program_names import resolve, resolve_one
from tests.monitoring.checks.records import program
from tests.tables import for_each

PROGRAMS = [
    program(name="catmaid-celery", key="worker.celery"),
    program(name="catmaid-crop-1", key="worker.crop"),
    program(name="catmaid-crop-2", key="worker.crop"),
    program(name="catmaid-celery-beat", key="beat"),
]


@for_each(
    ("names", "meant"),
    [
        ([], ["catmaid-celery", "catmaid-crop-1", "catmaid-crop-2", "catmaid-celery-beat"]),
        (["catmaid-celery"], ["catmaid-celery"]),
        (["celery"], ["catmaid-celery"]),
        (["worker.celery"], ["catmaid-celery"]),
        (["catmaid-crop"], ["catmaid-crop-1", "catmaid-crop-2"]),
        (["catmaid-crop-2"], ["catmaid-crop-2"]),
        (["crop-2", "celery-beat"], ["catmaid-crop-2", "catmaid-celery-beat"]),
        (["beat", "crop"], ["catmaid-crop-1", "catmaid-crop-2", "catmaid-celery-beat"]),
        (["beat", "beat", "catmaid-celery-beat"], ["catmaid-celery-beat"]),
        (["crop*"], ["catmaid-crop-1", "catmaid-crop-2"]),
        (["catmaid-c*-1", "be?t"], ["catmaid-crop-1", "catmaid-celery-beat"]),
        (["crop-[2-9]"], ["catmaid-crop-2"]),
        (["worker.*"], ["catmaid-celery", "catmaid-crop-1", "catmaid-crop-2"]),
        (["*"], ["catmaid-celery", "catmaid-crop-1", "catmaid-crop-2", "catmaid-celery-beat"]),
    ],
)
def test_name_is_an_installed_name_or_a_key_and_selects_all_instances(names: list[str], meant: list[str]) -> None:
    assert [each.name for each in resolve("catmaid", PROGRAMS, names)] == meant


def test_installed_name_selects_no_other_program() -> None:
    programs = [*PROGRAMS, program(name="catmaid-catmaid-celery", key="worker.catmaid-celery")]
    programs.append(program(name="catmaid-beat", key="worker.beat"))
    for each in programs:
        assert resolve("catmaid", programs, [each.name]) == [each]
    assert [each.name for each in resolve("catmaid", programs, ["beat"])] == ["catmaid-celery-beat", "catmaid-beat"]


def test_all_unknown_names_are_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve("catmaid", PROGRAMS, ["catmaid-celry", "celery", "zebra"])
    assert caught.value.problems == (
        "no program catmaid-celry; did you mean catmaid-celery?",
        "no program zebra; the programs are catmaid-celery, catmaid-crop-1, catmaid-crop-2, catmaid-celery-beat",
    )


def test_pattern_that_matches_nothing_lists_the_programs() -> None:
    with pytest.raises(ConfigurationError, match=r"^no program matches fetch\*; the programs are catmaid-celery, "):
        resolve("catmaid", PROGRAMS, ["fetch*"])


def test_pattern_must_mean_one_program_where_one_is_needed() -> None:
    assert resolve_one("catmaid", PROGRAMS, "*-1").name == "catmaid-crop-1"
    with pytest.raises(ConfigurationError, match=r"^crop\* names several programs$"):
        resolve_one("catmaid", PROGRAMS, "crop*")
