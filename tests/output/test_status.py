"""The status of a project as text."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from procman.install.state.holds import Hold
from procman.model import Kind, Level, Result, State
from procman.monitoring.status import ProgramStatus, ProjectStatus
from procman.output.status import as_text
from tests.install import sample
from tests.monitoring.checks.records import program, state

NAMES = ("catmaid-beat", "catmaid-celery")


def status(directory: Path, *programs: ProgramStatus) -> ProjectStatus:
    wish = sample.DESIRED_STATES["one"]
    manifest = sample.manifest(directory, wish, sample.rendering(directory, wish))
    return ProjectStatus(manifest, 2, 0.0, programs, (), ())


def test_restart_that_is_due_for_several_programs_is_reported_once(tmp_path: Path) -> None:
    programs = [
        ProgramStatus(program(Kind.BEAT, name=name), state(), Result("PM200", name, Level.OK, ""), reason, True)
        for name, reason in zip(NAMES, ("the launcher is newer",) * 2, strict=True)
    ]
    lines = list(as_text(status(tmp_path, *programs), io.StringIO()))
    assert lines[5:7] == [
        "catmaid-beat, catmaid-celery: a restart is due: the launcher is newer",
        "  procman restart catmaid-beat catmaid-celery",
    ]
    assert len(lines) == 8


def test_problem_has_its_code_and_its_hint(tmp_path: Path) -> None:
    result = Result("PM301", NAMES[1], Level.CRITICAL, "it is idle", "procman restart catmaid-celery")
    [_, _, _, _, *lines] = as_text(
        status(tmp_path, ProgramStatus(program(name=NAMES[1]), state(), result, "", True)), io.StringIO()
    )
    assert lines[:2] == ["catmaid-celery: it is idle (PM301)", "  procman restart catmaid-celery"]


def instance(number: int, level: Level = Level.OK, kind: State = State.RUNNING) -> ProgramStatus:
    made = program(name=f"catmaid-crop-{number}", key="worker.crop")
    result = Result("PM301", made.name, level, "it is idle", values={"memory_bytes": 2**20})
    running = state(kind, since=-60.0 * number, restarts=number)
    return ProgramStatus(made, running, result, "", kind is State.RUNNING, queued=number)


THREE = [instance(number) for number in (1, 2, 3)]


def cells(directory: Path, *programs: ProgramStatus, expand: bool = False) -> list[list[str]]:
    lines = as_text(status(directory, *programs), io.StringIO(), expand=expand)
    return [line.split() for line in lines]


def test_instances_that_are_alike_share_a_line(tmp_path: Path) -> None:
    [_, row, summary, *_] = cells(tmp_path, *THREE)
    assert row == ["catmaid-crop", "3/3", "RUNNING", "ok", "3", "-", "1m", "3", "MiB", "6"]
    assert " ".join(summary) == "3 of 3 running"
    assert len(cells(tmp_path, *THREE, expand=True)) == 3 + len(cells(tmp_path, *THREE)) - 1


HELD = Hold("catmaid-crop-3", by="anna", since=0.0, until=None, reason="")


@pytest.mark.parametrize(
    "last", [instance(3, Level.WARNING), instance(3, kind=State.BACKOFF), THREE[2]._replace(hold=HELD)]
)
def test_instance_that_is_different_has_its_own_line(last: ProgramStatus, tmp_path: Path) -> None:
    [_, together, alone, *_] = cells(tmp_path, *THREE[:2], last)
    assert together[:2] == ["catmaid-crop", "2/3"]
    assert alone[0] == "catmaid-crop-3"


def test_problem_that_programs_share_is_reported_once(tmp_path: Path) -> None:
    names = [f"catmaid-crop-{number}" for number in range(1, 7)]
    results = [Result("PM101", name, Level.UNKNOWN, "supervisord is not running", "procman start") for name in names]
    programs = [
        ProgramStatus(program(name=result.program), state(State.UNKNOWN), result, "", False) for result in results
    ]
    [*_, problem, hint, _] = as_text(status(tmp_path, *programs), io.StringIO())
    assert problem == "catmaid-crop-1, catmaid-crop-2, catmaid-crop-3 and 3 more: supervisord is not running (PM101)"
    assert hint == "  procman start"


def test_accepted_warning_is_only_counted(tmp_path: Path) -> None:
    result = Result("PM104", NAMES[1], Level.OK, "no pool process", "set pool", accepted=True)
    row = ProgramStatus(program(name=NAMES[1]), state(), result, "", True)
    lines = list(as_text(status(tmp_path, row), io.StringIO()))
    assert lines[-1] == "1 accepted warning: PM104"
    assert not [line for line in lines if "no pool process" in line]
