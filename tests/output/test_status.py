"""The status of a project as text."""

from __future__ import annotations

import io
from pathlib import Path

from procman.model import Kind, Level, Result
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
    assert lines[4:6] == [
        "catmaid-beat, catmaid-celery: a restart is due: the launcher is newer",
        "  procman restart catmaid-beat catmaid-celery",
    ]
    assert len(lines) == 7


def test_problem_has_its_code_and_its_hint(tmp_path: Path) -> None:
    result = Result("PM301", NAMES[1], Level.CRITICAL, "it is idle", "procman restart catmaid-celery")
    [_, _, _, *lines] = as_text(
        status(tmp_path, ProgramStatus(program(name=NAMES[1]), state(), result, "", True)), io.StringIO()
    )
    assert lines[:2] == ["catmaid-celery: it is idle (PM301)", "  procman restart catmaid-celery"]
