"""The watcher's timer and service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.systemd.renderer import render
from procman.backends.systemd.states import is_desired, state_of
from procman.backends.systemd.verify import verify
from procman.config.systemd_directives import KNOWN
from procman.host import systemd_host
from procman.host.systemctl import Unit
from procman.host.unit_names import unit_of, units_of
from procman.model import InstalledProgram, Kind, State
from procman.project import Project
from tests.backends.systemd.projects import SYSTEM_SCOPE, USER_SCOPE, project

HEALER = InstalledProgram("catmaid-health", "health", Kind.HEALTH, True, 30, 1, False, None, None)
WORKER = replace(HEALER, name="catmaid-celery", kind=Kind.WORKER)


def health(more: str = "", command: str = "/bin/sh") -> str:
    return f'[health]\nprocman = "{command}"\n{more}'


def units(desired: Project) -> dict[str, str]:
    return {file.path.name: file.content for file in render(desired).files if "health" in file.path.name}


def test_watcher_needs_a_command_and_a_program_to_heal() -> None:
    assert list(units(project(rest=health()))) == ["catmaid-health.service", "catmaid-health.timer"]
    assert units(project()) == {}
    assert units(project(rest=health("heal = false"))) == {}
    assert len(units(project(worker="heal = true", rest=health("heal = false")))) == 2


def test_target_starts_the_timer_at_boot() -> None:
    assert "Wants=catmaid-health.timer\n" in _target(project(rest=health()))
    assert "health" not in _target(project())


def _target(desired: Project) -> str:
    return next(file.content for file in render(desired).files if file.path.name == "catmaid.target")


def test_timer_fires_at_the_configured_interval() -> None:
    timer = units(project(rest=health("interval_seconds = 45")))["catmaid-health.timer"]
    assert "\nOnBootSec=45\nOnUnitActiveSec=45\n" in timer


@pytest.mark.parametrize("scope", [SYSTEM_SCOPE, USER_SCOPE])
@pytest.mark.parametrize("sandbox", ["default", "off"])
@pytest.mark.parametrize("version", [240, 249, 257])
def test_only_directives_of_the_minimum_version_are_rendered(scope: str, sandbox: str, version: int) -> None:
    desired = project(systemd=f'sandbox = "{sandbox}"\nminimum_version = {version}', scope=scope, rest=health())
    lines = units(desired)["catmaid-health.service"].splitlines()
    names = {line.partition("=")[0] for line in lines if "=" in line and not line.startswith("#")}
    assert [name for name in names if name in KNOWN and KNOWN[name].since > version] == []
    assert ("ProtectSystem" in names) is (scope == SYSTEM_SCOPE and sandbox == "default")


def test_temporary_directory_is_shared_if_the_project_is_in_it() -> None:
    desired = project(rest=health())
    assert "\nPrivateTmp=yes\n" in units(desired)["catmaid-health.service"]
    there = replace(desired, virtualenv=Path("/tmp/env"))
    assert "\nPrivateTmp=no\n" in units(there)["catmaid-health.service"]


@pytest.mark.parametrize("scope", [SYSTEM_SCOPE, USER_SCOPE])
def test_systemd_accepts_both_units(scope: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "systemd").mkdir()
    monkeypatch.setattr(systemd_host, "BOOTED", tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    desired = project(scope=scope, rest=health())
    assert [problem for problem in verify(desired, render(desired)) if "health" in problem] == []
    missing = project(scope=scope, rest=health(command="/nowhere/procman"))
    assert [problem for problem in verify(missing, render(missing)) if "/nowhere/procman" in problem]


def test_state_of_the_watcher_is_that_of_its_timer() -> None:
    assert unit_of(HEALER) == "catmaid-health.timer"
    assert units_of(HEALER) == ["catmaid-health.timer", "catmaid-health.service"]
    assert units_of(WORKER) == ["catmaid-celery.service"]


@pytest.mark.parametrize(
    ("active", "was_started", "state", "desired"),
    [
        ("active", True, State.RUNNING, True),
        ("inactive", True, State.STOPPED, False),
        ("inactive", False, State.STOPPED, True),
        ("failed", True, State.FATAL, False),
    ],
)
def test_inactive_timer_was_stopped_on_purpose(active: str, was_started: bool, state: State, desired: bool) -> None:
    properties = {"LoadState": "loaded", "ActiveState": active, "InactiveExitTimestampMonotonic": str(int(was_started))}
    unit = Unit("catmaid-health.timer", properties)
    assert (state_of(unit), is_desired(unit, None, autostart=True)) == (state, desired)
