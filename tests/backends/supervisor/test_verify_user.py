"""A user or group is refused under a supervisord that could not start such a program."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.supervisor import renderer, verify_user
from procman.backends.supervisor.configuration.main_file import MainFile
from procman.backends.supervisor.verify_user import problems_of_users
from procman.model import SupervisorMode
from procman.project import Command, Project, Rendering
from tests.backends.supervisor.projects import reference
from tests.install.people import NOBODY, needs_root, public_directory
from tests.reachable import SYSTEM_PYTHON


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can enter."""
    yield from public_directory()


def grouped(mode: SupervisorMode = SupervisorMode.EXISTING) -> Project:
    project = reference(group="webapps")
    return replace(project, supervisor=replace(project.supervisor, mode=mode))


def problems(project: Project, main: MainFile) -> list[str]:
    return list(problems_of_users(project, Rendering((), ()), main))


def main_file(directory: Path, user: str | None = None) -> MainFile:
    """Return the settings of a supervisord that is not running."""
    return MainFile(directory / "s.conf", directory / "socket", None, None, None, "log", "info", (), user)


@pytest.mark.parametrize("user", [None, "root", "0"])
def test_supervisord_of_root_is_accepted(tmp_path: Path, user: str | None) -> None:
    assert problems(grouped(), main_file(tmp_path, user)) == []


@pytest.mark.parametrize(("user", "name"), [("celery", "celery"), ("4242424", "4242424"), ("65534", "nobody")])
def test_supervisord_that_becomes_another_user_is_refused(tmp_path: Path, user: str, name: str) -> None:
    project = grouped()
    why = f"only root can change it, and the supervisord of {tmp_path}/s.conf runs as {name}"
    assert problems(project, main_file(tmp_path, user)) == [
        f"{project.configuration_file}: project.user: {why}: set it to {name}, or run supervisord as root",
        f"{project.configuration_file}: project.group: {why}: remove it, or run supervisord as root",
    ]


def test_command_names_the_key_of_its_own_user(tmp_path: Path) -> None:
    project = reference(user="celery")
    command = replace(project.programs[0], key="command.web", options=Command(("web",), user="web", group="web"))
    found = problems(replace(project, programs=(*project.programs, command)), main_file(tmp_path, "celery"))
    assert [problem.partition(": ")[2].partition(":")[0] for problem in found] == [
        "command.web.user",
        "command.web.group",
    ]


def test_programs_without_a_group_need_no_root_and_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_user, "ROOT_PATH", str(tmp_path))
    assert problems(reference(user="celery"), main_file(tmp_path, "celery")) == []


def test_missing_commands_are_reported_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_user, "ROOT_PATH", str(tmp_path))
    found = problems(grouped(SupervisorMode.EMBEDDED), main_file(tmp_path))
    assert [problem.partition(" need ")[2] for problem in found] == [
        f"the setpriv(1) of util-linux in {tmp_path}: install it",
        f"the getent(1) of the GNU C library in {tmp_path}: install it",
    ]


def test_commands_of_alpine_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_user, "ROOT_PATH", str(tmp_path))
    for name, text in (
        ("setpriv", "echo 'Usage: setpriv [--nnp] PROG' >&2\nexit 1\n"),
        ("getent", "echo 'Unknown database: initgroups'\nexit 1\n"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / name).chmod(0o755)
    assert len(problems(grouped(), main_file(tmp_path))) == 2


@needs_root
def test_running_supervisord_of_another_user_is_refused(public: Path) -> None:
    public.chmod(0o777)
    code = "import socket, sys\nlistener = socket.socket(socket.AF_UNIX)\nlistener.bind(sys.argv[1])\n"
    code += "listener.listen()\nprint(flush=True)\nlistener.accept()"
    words = [str(SYSTEM_PYTHON), "-c", code, str(public / "socket")]
    with subprocess.Popen(words, user=NOBODY.pw_uid, stdout=subprocess.PIPE) as listening:
        assert listening.stdout
        listening.stdout.readline()
        found = problems(grouped(), main_file(public))
        listening.kill()
    assert [f"the supervisord of {public}/s.conf runs as nobody" in problem for problem in found] == [True, True]


def test_changed_template_that_keeps_rights_of_root_is_refused(tmp_path: Path) -> None:
    templates = tmp_path / "templates/supervisor"
    templates.mkdir(parents=True)
    (templates / "start.sh.j2").write_text("#!/bin/sh\nexec {{ argv | shell_words }}\n")
    main, script = main_file(tmp_path), "/etc/procman/catmaid/catmaid-celery.sh"
    project = replace(grouped(), templates=templates.parent)
    found = list(problems_of_users(project, renderer.render(project), main))
    assert f"{script}: root runs it, and it does not drop root's rights with setpriv: fix the template" in found
    assert list(problems_of_users(grouped(), renderer.render(grouped()), main)) == []
