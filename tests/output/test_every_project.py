"""The status of all projects as text."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from procman.model import Level, Result
from procman.monitoring.every_project import Answer
from procman.monitoring.status import ProgramStatus, ProjectStatus
from procman.output.every_project import ADVICE, status_as_text
from tests.install import sample
from tests.monitoring.checks.records import program, state

FINE = Result("PM200", "catmaid-celery", Level.OK, "")
IDLE = Result("PM301", "catmaid-celery", Level.CRITICAL, "it is idle", "procman restart catmaid-celery")


@pytest.mark.parametrize(("result", "has_advice"), [(FINE, False), (IDLE, True)], ids=["healthy", "with a command"])
def test_advice_on_commands_follows_commands_only(tmp_path: Path, result: Result, *, has_advice: bool) -> None:
    wish = sample.DESIRED_STATES["one"]
    manifest = sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))
    one = ProgramStatus(program(name="catmaid-celery"), state(), result, "", True)
    found = Answer("catmaid", tmp_path, ProjectStatus(manifest, 2, 0.0, (one,), (), ()))
    lines = list(status_as_text([found], expand=False, stream=io.StringIO()))
    assert lines[0] == "catmaid (system):"
    assert (ADVICE in lines) is has_advice
