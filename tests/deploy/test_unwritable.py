"""A move to systemd does not take away what running programs write to."""

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


def test_file_that_a_program_writes_to_and_could_not_any_more_is_a_problem(tmp_path: Path) -> None:
    with (tmp_path / "tiles.log").open("w"):
        found = unwritable(project(), [running("catmaid-celery")])
    [problem] = [each for each in found if "tiles.log" in each]
    assert problem.startswith(str(project().configuration_file.parent.parent))
    assert f'add "{tmp_path}" to writable_paths' in problem
    assert "catmaid-celery writes to" in problem


def test_file_below_a_writable_path_is_none(tmp_path: Path) -> None:
    with (tmp_path / "tiles.log").open("w"):
        found = unwritable(project(more=f'writable_paths = ["{tmp_path}"]'), [running("catmaid-celery")])
    assert not any("tiles.log" in each for each in found)


def test_program_that_does_not_run_or_is_not_configured_has_none(tmp_path: Path) -> None:
    with (tmp_path / "tiles.log").open("w"):
        stopped = ProgramState("catmaid-celery", True, State.STOPPED)
        assert unwritable(project(), [stopped, running("catmaid-gone")]) == []
