"""The watcher, for install and init: which command root may run, and the warning without one."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from procman.config.load import load
from procman.deploy.installed_programs import installed_watcher
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
def test_watcher_is_a_program(backend: BackendName, log: str | None) -> None:
    [found] = installed_watcher(project(backend=backend))
    assert (found.name, found.key, found.kind, found.log_file) == ("catmaid-health", "health", Kind.HEALTH, log)
    assert installed_watcher(project(None)) == ()


def test_command_that_belongs_to_root_is_accepted() -> None:
    assert watcher_problems(project()) == []
    assert watcher_problems(project(None)) == []


def test_missing_command_is_refused_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "procman").touch(mode=0o644)
    for command in ("/nowhere/procman", str(tmp_path / "procman")):
        [problem] = watcher_problems(project(command))
        assert f"{REFERENCE}: health.procman: {command} does not exist" in problem


@needs_root
@pytest.mark.parametrize("what", ["the command", "its interpreter", "a directory on the way"])
def test_root_runs_nothing_that_others_can_modify(tmp_path: Path, what: str) -> None:
    for name in ("bin", "env"):
        (tmp_path / name).mkdir()
    command, interpreter = tmp_path / "bin/procman", tmp_path / "env/python"
    interpreter.symlink_to("/bin/sh") if what != "its interpreter" else interpreter.write_text("")
    command.write_text(f"#!{interpreter}\n")
    command.chmod(0o755)
    changeable = {"the command": command, "its interpreter": interpreter, "a directory on the way": tmp_path / "bin"}[
        what
    ]
    os.chown(changeable, NOBODY.pw_uid, -1)
    found = watcher_problems(project(str(command)))
    assert any(str(changeable) in problem and "refusing to let root run" in problem for problem in found)
    of_a_user = project(str(command), scope=Scope.USER)
    assert watcher_problems(of_a_user) == []


def test_install_warns_if_no_watcher_is_configured() -> None:
    assert "[health]" in watcher_notes(project(None))[0]
    assert watcher_notes(project()) == []
    unhealed = project(None)
    programs = tuple(replace(program, heal=False) for program in unhealed.programs)
    assert watcher_notes(replace(unhealed, programs=programs)) == []


def test_init_writes_its_own_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "procman").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    draft = Draft()
    set_watcher(draft, Scope.USER)
    assert draft.get("health", "procman") == str(tmp_path / "procman")


def test_init_warns_if_it_cannot_find_its_own_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "argv", ["/somewhere/__main__.py"])
    draft = Draft()
    set_watcher(draft, Scope.SYSTEM)
    assert draft.get("health", "procman") is None
    assert "[health]" in draft.warnings[0]


@needs_root
def test_init_writes_no_command_for_root_that_others_can_modify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "procman"
    command.touch(mode=0o755)
    os.chown(command, NOBODY.pw_uid, -1)
    monkeypatch.setattr(health_key, "own_command", lambda: command)
    draft = Draft()
    set_watcher(draft, Scope.SYSTEM)
    assert draft.get("health", "procman") is None
    assert str(command) in draft.warnings[0]
