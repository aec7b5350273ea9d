"""A move to systemd is refused if its sandbox would make files read-only that running programs write to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procman.backends.systemd import sandbox
from procman.deploy.prepare import unwritable
from procman.model import ProgramState, State
from tests.backends.systemd.projects import project


@pytest.fixture(autouse=True)
def no_private_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own directories are below /tmp, which a sandbox replaces."""
    monkeypatch.setattr(sandbox, "TEMPORARY", ())


def running(name: str) -> ProgramState:
    return ProgramState(name, True, State.RUNNING, os.getpid())


def test_file_being_written_outside_sandbox_is_a_problem(tmp_path: Path) -> None:
    with (tmp_path / "tiles.log").open("w"):
        found = unwritable(project(), [running("catmaid-celery")])
    [problem] = [each for each in found if "tiles.log" in each]
    assert problem.startswith(str(project().configuration_file.parent.parent))
    assert f'add "{tmp_path}" to writable_paths' in problem
    assert "catmaid-celery writes to" in problem


def test_file_below_writable_path_is_no_problem(tmp_path: Path) -> None:
    with (tmp_path / "tiles.log").open("w"):
        found = unwritable(project(more=f'writable_paths = ["{tmp_path}"]'), [running("catmaid-celery")])
    assert not any("tiles.log" in each for each in found)


def test_stopped_or_unconfigured_program_has_no_problem(tmp_path: Path) -> None:
    with (tmp_path / "tiles.log").open("w"):
        stopped = ProgramState("catmaid-celery", True, State.STOPPED)
        assert unwritable(project(), [stopped, running("catmaid-gone")]) == []
