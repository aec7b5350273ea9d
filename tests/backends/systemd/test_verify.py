"""systemd's own parser reads every unit before an install (R6)."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from procman.accounts import user_name
from procman.backends.systemd import sandbox
from procman.backends.systemd.host_check import warnings
from procman.backends.systemd.renderer import render
from procman.backends.systemd.verify import remaining, verify
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.project import Project, Rendering
from tests.backends.systemd.projects import SYSTEM_SCOPE, USER_SCOPE, project


@pytest.fixture(autouse=True)
def booted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make the host appear to be booted with systemd, for the calling user too; systemd's programs are installed."""
    runtime = tmp_path / "run"
    (runtime / "systemd").mkdir(parents=True)
    monkeypatch.setattr(systemd_host, "BOOTED", runtime)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))


@pytest.fixture
def virtualenv(tmp_path: Path) -> Path:
    """A virtualenv with a Python, which the units need."""
    binaries = tmp_path / "env" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    return binaries.parent


@pytest.fixture(autouse=True)
def homes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exclude the home of the Python that runs the tests, and /tmp, where the tests' directory is."""
    monkeypatch.setattr(sandbox, "HOMES", (Path("/home"),))
    monkeypatch.setattr(sandbox, "TEMPORARY", (Path("/var/tmp"),))


def problems(desired: Project, virtualenv: Path) -> list[str]:
    desired = replace(desired, virtualenv=virtualenv)
    return verify(desired, render(desired))


@pytest.mark.parametrize("scope", [SYSTEM_SCOPE, USER_SCOPE])
@pytest.mark.parametrize("sandbox_profile", ["default", "strict", "off"])
@pytest.mark.parametrize("log", ["journal", "file"])
def test_rendered_units_are_valid(virtualenv: Path, scope: str, sandbox_profile: str, log: str) -> None:
    limits = "memory_high_mib = 9\nmemory_max_mib = 10\ncpu_weight = 5\ntasks_max = 40"
    desired = project(
        limits, f'sandbox = "{sandbox_profile}"\nlog = "{log}"', scope, 'after = ["rabbitmq-server.service"]'
    )
    assert problems(desired, virtualenv) == []


def test_value_that_systemd_would_ignore_is_found_with_the_line_of_the_installed_file(virtualenv: Path) -> None:
    desired = project(rest='[worker.celery.systemd]\nProtectHome = "maybe"\n')
    [problem] = problems(desired, virtualenv)
    assert problem.startswith("/etc/systemd/system/catmaid-celery.service:")
    assert "maybe" in problem


@pytest.mark.parametrize("version", [249, 252])
def test_invalid_line_that_is_only_a_warning_to_systemd_is_found(
    virtualenv: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    monkeypatch.setattr(systemd_host, "version", lambda: version)
    assert problems(project(), virtualenv) == []
    assert problems(project(rest='[worker.celery.systemd]\nProtectHome = "maybe"\n'), virtualenv)


def test_virtualenv_without_python_is_reported_with_its_key(tmp_path: Path) -> None:
    found = "\n".join(problems(project(), tmp_path / "nothing"))
    assert "is not executable" in found
    assert "see the key virtualenv in" in found


def test_name_of_an_existing_unit_is_refused(virtualenv: Path) -> None:
    desired = project()
    renamed = replace(desired, name="network")
    [problem] = [each for each in problems(renamed, virtualenv) if "network.target" in each]
    assert "is not managed by procman, and procman's unit would override it" in problem
    assert "change project.name" in problem


def test_existing_unit_in_procmans_directory_is_left_to_the_plan(virtualenv: Path, tmp_path: Path) -> None:
    desired = project()
    units = tmp_path / "units"
    units.mkdir()
    (units / "catmaid-celery.service").write_text("[Service]\nExecStart=/bin/true\n")
    desired = replace(desired, directories=replace(desired.directories, units=units))
    assert problems(desired, virtualenv) == []


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("KillMode=mixed", "KillMode=process"),
        ("Restart=always", ""),
        ("KillMode=mixed", "KillMode=mixed\nKillMode=none"),
    ],
)
def test_template_that_would_lose_tasks_is_refused(virtualenv: Path, line: str, instead: str) -> None:
    desired = replace(project(), virtualenv=virtualenv)
    rendering = render(desired)
    files = tuple(replace(file, content=file.content.replace(line, instead)) for file in rendering.files)
    found = verify(desired, Rendering(rendering.directories, files))
    assert len(found) == 3
    assert "fix the template" in found[0]


def test_missing_writable_path_is_refused_with_the_command_that_creates_it(virtualenv: Path) -> None:
    [problem] = problems(project(more='writable_paths = ["/nowhere/media"]'), virtualenv)
    assert "install -d -o www-data /nowhere/media" in problem
    assert problems(project(systemd='sandbox = "off"', more='writable_paths = ["/nowhere/media"]'), virtualenv) == []


def test_missing_environment_file_is_refused(virtualenv: Path) -> None:
    [problem] = problems(project(more='environment_file = "/nowhere/celery.env"'), virtualenv)
    assert "/nowhere/celery.env does not exist" in problem


def test_python_in_a_home_directory_that_the_sandbox_hides_is_refused(
    virtualenv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "HOMES", (tmp_path / "home",))
    interpreter = tmp_path / "home" / "python"
    interpreter.parent.mkdir()
    interpreter.symlink_to(sys.executable)
    assert problems(project(systemd='sandbox = "strict"'), virtualenv) == []
    interpreter.unlink()
    interpreter.write_bytes(b"")
    interpreter.chmod(0o755)
    (virtualenv / "bin" / "python").unlink()
    (virtualenv / "bin" / "python").symlink_to(interpreter)
    found = problems(project(systemd='sandbox = "strict"'), virtualenv)
    assert len(found) == 3
    assert 'ProtectHome = "read-only"' in found[0]
    assert problems(project(systemd='sandbox = "default"'), virtualenv) == []


@pytest.mark.parametrize("scope", [SYSTEM_SCOPE, USER_SCOPE])
def test_host_without_a_running_systemd_is_refused_before_anything_is_written(
    virtualenv: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scope: str
) -> None:
    monkeypatch.setattr(systemd_host, "BOOTED", tmp_path / "nothing")
    [problem] = problems(project(scope=scope), virtualenv)
    assert 'backend = "supervisor"' in problem


def test_user_without_a_running_systemd_gets_the_command_to_start_it(
    virtualenv: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nothing"))
    [problem] = problems(project(scope=USER_SCOPE), virtualenv)
    assert "loginctl enable-linger" in problem
    assert problems(project(), virtualenv) == []


def test_older_systemd_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert warnings(project()) == []
    monkeypatch.setattr(systemd_host, "version", lambda: 247)
    [warning] = warnings(project())
    assert "minimum_version = 247" in warning


def test_user_scope_warns_of_limits_that_only_root_can_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(systemd_host, "LINGERING", tmp_path)
    monkeypatch.setattr(systemd_host, "time_limit", lambda *_: 120.0)
    desired = project(scope=USER_SCOPE, more='after = ["rabbitmq-server.service"]')
    found = "\n".join(warnings(desired))
    assert f"sudo loginctl enable-linger {user_name(os.geteuid())}" in found
    assert "TimeoutStopSec=660" in found
    assert "ProtectSystem=" in found
    assert "rabbitmq-server.service" in found
    (tmp_path / user_name(os.geteuid())).touch()
    monkeypatch.setattr(systemd_host, "time_limit", lambda *_: 700.0)
    desired = project(scope=USER_SCOPE, systemd='sandbox = "off"')
    assert warnings(desired) == []


def test_only_a_unit_of_the_same_name_is_adopted() -> None:
    names = ["catmaid-celery", "catmaid-celery-beat"]
    remaining(Path("/etc/systemd/system/catmaid-celery.service"), names)
    remaining(Path("/etc/systemd/system/catmaid.target"), names)
    for other in ("celery.service", "cat.target", "catmaid-celery.timer"):
        with pytest.raises(ProcmanError, match="procman does not install a unit of this name"):
            remaining(Path("/etc/systemd/system", other), names)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("10min 30s", 630),
        ("1h 30s", 3630),
        ("2min", 120),
        ("500ms", 0.5),
        ("infinity", None),
        ("", None),
        ("1w 1d", 691200),
    ],
)
def test_time_span_of_systemctl_is_parsed(span: str, expected: float | None) -> None:
    assert systemd_host.seconds(span) == expected
