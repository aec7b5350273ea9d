"""A group other than the user's own is refused under a supervisord that could not start such a program."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.supervisor import renderer, verify_group
from procman.backends.supervisor.configuration.main_file import MainFile
from procman.backends.supervisor.verify_group import problems_of_group
from procman.model import SupervisorMode
from procman.project import Project
from tests.backends.supervisor.projects import reference


def grouped(mode: SupervisorMode = SupervisorMode.EXISTING) -> Project:
    project = reference(group="webapps")
    return replace(project, supervisor=replace(project.supervisor, mode=mode))


def problems(project: Project, main: MainFile) -> list[str]:
    return list(problems_of_group(project, renderer.render(project), main))


def main_file(directory: Path, user: str | None = None) -> MainFile:
    """Return the settings of a supervisord that is not running."""
    return MainFile(directory / "s.conf", directory / "socket", None, None, None, "log", "info", (), user)


@pytest.mark.parametrize("user", [None, "root", "0"])
def test_supervisord_of_root_is_accepted(tmp_path: Path, user: str | None) -> None:
    assert problems(grouped(), main_file(tmp_path, user)) == []


@pytest.mark.parametrize("user", ["celery", "1000"])
def test_supervisord_that_becomes_another_user_is_refused(tmp_path: Path, user: str) -> None:
    [problem] = problems(grouped(), main_file(tmp_path, user))
    assert "project.group: only root can set a group, and the supervisord of" in problem
    assert f"becomes {user} (user= under [supervisord]): remove the key, or run supervisord as root" in problem


def test_programs_without_a_group_need_no_root_and_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_group, "ROOT_PATH", str(tmp_path))
    assert problems(reference(), main_file(tmp_path, "celery")) == []


def test_missing_commands_are_reported_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_group, "ROOT_PATH", str(tmp_path))
    (tmp_path / "setpriv").symlink_to("busybox")
    (tmp_path / "busybox").touch(0o755)
    (tmp_path / "getent").touch(0o755)
    [problem] = problems(grouped(), main_file(tmp_path))
    assert "the start scripts need setpriv(1), which is not in" in problem
    assert problem.endswith("install it (util-linux)")
    (tmp_path / "getent").unlink()
    assert len(problems(grouped(SupervisorMode.EMBEDDED), main_file(tmp_path))) == 2
    assert os.access("/usr/bin/setpriv", os.X_OK), "Debian's util-linux has it"


def test_changed_template_that_keeps_rights_of_root_is_refused(tmp_path: Path) -> None:
    templates = tmp_path / "templates/supervisor"
    templates.mkdir(parents=True)
    (templates / "start.sh.j2").write_text("#!/bin/sh\nexec {{ argv | shell_words }}\n")
    found = problems(replace(grouped(), templates=templates.parent), main_file(tmp_path))
    script = "/etc/procman/catmaid/catmaid-celery.sh"
    assert f"{script}: root runs it, and it does not drop root's rights with setpriv: fix the template" in found
    assert problems(replace(reference(), templates=templates.parent), main_file(tmp_path)) == []
