"""What looks after the programs, as install and init see it: whom root obeys, and what is said where nobody does."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from procman.config.load import load
from procman.deploy.prepare import installed_watcher
from procman.init import health_key
from procman.init.draft import Draft
from procman.init.health_key import set_watcher
from procman.model import BackendName, HealthSettings, Kind, Scope
from procman.monitoring.watcher_command import watcher_notes, watcher_problems
from procman.project import Project
from tests.install.people import NOBODY, needs_root

REFERENCE = Path(__file__).parents[2] / "units" / "procman.toml"


def project(command: str | None = "/bin/true", **changes: object) -> Project:
    settings = HealthSettings(procman=Path(command) if command else None)
    return replace(load(REFERENCE, {}), health=settings, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("backend", "log"),
    [(BackendName.SUPERVISOR, "/var/log/catmaid/catmaid-health.log"), (BackendName.SYSTEMD, None)],
)
def test_it_is_a_program_among_the_others(backend: BackendName, log: str | None) -> None:
    [found] = installed_watcher(project(backend=backend))
    assert (found.name, found.key, found.kind, found.log_file) == ("catmaid-health", "health", Kind.HEALTH, log)
    assert installed_watcher(project(None)) == ()


def test_command_of_roots_own_is_fine() -> None:
    assert watcher_problems(project()) == []
    assert watcher_problems(project(None)) == []


def test_command_that_is_not_there_is_refused_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "procman").touch(mode=0o644)
    for command in ("/nowhere/procman", str(tmp_path / "procman")):
        [problem] = watcher_problems(project(command))
        assert f"{REFERENCE}: health.procman: {command} is not there" in problem


@needs_root
@pytest.mark.parametrize("what", ["the command", "its interpreter", "a directory on the way"])
def test_root_runs_nothing_that_others_could_change(tmp_path: Path, what: str) -> None:
    for name in ("bin", "env"):
        (tmp_path / name).mkdir()
    command, interpreter = tmp_path / "bin/procman", tmp_path / "env/python"
    interpreter.symlink_to("/bin/sh") if what != "its interpreter" else interpreter.write_text("")
    command.write_text(f"#!{interpreter}\n")
    command.chmod(0o755)
    theirs = {"the command": command, "its interpreter": interpreter, "a directory on the way": tmp_path / "bin"}[what]
    os.chown(theirs, NOBODY.pw_uid, -1)
    found = watcher_problems(project(str(command)))
    assert any(str(theirs) in problem and "root is to run it" in problem for problem in found)
    of_a_user = project(str(command), scope=Scope.USER)
    assert watcher_problems(of_a_user) == []


def test_install_says_where_nobody_looks_after_the_programs() -> None:
    assert "[health]" in watcher_notes(project(None))[0]
    assert watcher_notes(project()) == []
    unhealed = project(None)
    programs = tuple(replace(program, heal=False) for program in unhealed.programs)
    assert watcher_notes(replace(unhealed, programs=programs)) == []


def test_init_writes_down_the_procman_that_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "procman").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    draft = Draft()
    set_watcher(draft, Scope.USER)
    assert draft.get("health", "procman") == str(tmp_path / "procman")


def test_init_says_so_where_it_cannot_find_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "argv", ["/somewhere/__main__.py"])
    draft = Draft()
    set_watcher(draft, Scope.SYSTEM)
    assert draft.get("health", "procman") is None
    assert "[health]" in draft.warnings[0]


@needs_root
def test_init_does_not_have_root_run_what_others_could_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "procman"
    command.touch(mode=0o755)
    os.chown(command, NOBODY.pw_uid, -1)
    monkeypatch.setattr(health_key, "own_command", lambda: command)
    draft = Draft()
    set_watcher(draft, Scope.SYSTEM)
    assert draft.get("health", "procman") is None
    assert str(command) in draft.warnings[0]
