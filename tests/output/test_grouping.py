"""Instances that share a line of a table, or a name in a command."""

from __future__ import annotations

from procman.model import InstalledProgram
from procman.output.grouping import names_for_a_command
from procman.program_names import resolve
from tests.monitoring.checks.records import program

CROP = [program(name=f"demo-crop-{number}", key="worker.crop") for number in (1, 2)]
EVERY = [program(), *CROP]


def names(*programs: InstalledProgram) -> list[str]:
    return names_for_a_command(programs, EVERY)


def test_all_instances_have_one_name_in_a_command() -> None:
    assert names(*EVERY) == ["demo-celery", "crop"]
    assert names(*CROP[1:]) == ["demo-crop-2"]
    assert resolve("demo", EVERY, names(*CROP)) == CROP
