"""A `.env` of a project: used if its settings do not load it themselves. Real apps are loaded."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from procman.config.load import load
from procman.init.dotenv_file import ask_with_dotenv
from procman.init.draft import Draft
from procman.init.init import NewProject, init
from procman.model import Scope
from tests.django_projects import make_project
from tests.reachable import IS_ROOT, SOMEBODY, public_directory

QUEUE = "import os\nCELERY_TASK_DEFAULT_QUEUE = os.environ.get('QUEUE', 'celery')\n"

LOADS_IT = """
import os
from pathlib import Path
for line in (Path(__file__).parent.parent / ".env").read_text().splitlines():
    name, _, value = line.partition("=")
    os.environ.setdefault(name, value)
"""
"""As python-dotenv, django-environ and python-decouple do."""


@pytest.fixture
def top() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory


def run_init(
    top: Path, python: Path, settings: str, variables: str | None, place: str = "shop/code/.env"
) -> NewProject:
    make_project(top / "shop/code", settings)
    if variables is not None:
        (top / place).write_text(variables)
    environment = {"VIRTUAL_ENV": str(python.parent.parent)}
    user = SOMEBODY if IS_ROOT else None
    scope = Scope.SYSTEM if IS_ROOT else Scope.USER
    [project] = init(top / "shop", user=user, scope=scope, environment=environment, root=top / "root").projects
    return project


def queues(project: NewProject) -> list[str]:
    return [each.value for each in project.findings if each.what == "queues"]


def named(project: NewProject, top: Path) -> Path | None:
    (top / "procman.toml").write_text(project.text)
    return load(top / "procman.toml", dict(os.environ)).environment_file


@pytest.mark.celery
@pytest.mark.parametrize(
    ("settings", "place"),
    [(QUEUE, "shop/code/.env"), ("import os\nCELERY_TASK_DEFAULT_QUEUE = os.environ['QUEUE']\n", "shop/.env")],
)
def test_file_that_the_settings_do_not_load_becomes_the_environment_file(
    top: Path, reachable_python: Path, settings: str, place: str
) -> None:
    project = run_init(top, reachable_python, settings, "QUEUE=orders\nAPI_TOKEN=hunter22-secret\n", place)
    assert queues(project) == ["orders"]
    assert named(project, top) == top / place
    assert not [each for each in project.warnings if "load" in each]
    assert "hunter22" not in repr(project)


@pytest.mark.celery
def test_file_that_the_settings_load_is_left_to_them(top: Path, reachable_python: Path) -> None:
    project = run_init(top, reachable_python, LOADS_IT + QUEUE, "QUEUE=orders\n")
    assert queues(project) == ["orders"]
    assert named(project, top) is None
    [shown] = [each for each in project.findings if each.what == "variables"]
    assert (shown.value, shown.note) == (str(top / "shop/code/.env"), "the settings load them")


@pytest.mark.celery
@pytest.mark.root("about root")
def test_root_reads_the_file_as_the_user_of_the_programs(top: Path, reachable_python: Path) -> None:
    (top / "private").write_text("QUEUE=stolen\n")
    (top / "private").chmod(0o600)
    (top / "shop").mkdir()
    (top / "shop/.env").symlink_to(top / "private")
    os.chown(top / "shop", pwd.getpwnam(SOMEBODY).pw_uid, -1)
    project = run_init(top, reachable_python, QUEUE, None)
    assert queues(project) == ["celery"]
    assert "it cannot be read: head: cannot open" in " ".join(project.warnings)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ("QUEUE=orders\nexport LEVEL=1\n", "it has lines that are not NAME=VALUE"),
        ("QUEUE=orders\nCELERY_WORKER_DETACH=1\n", "procman refuses CELERY_WORKER_DETACH in it"),
        (None, "it is not a regular file"),
    ],
)
def test_file_that_no_program_can_read_is_named_with_the_reason(
    tmp_path: Path, variables: str | None, reason: str
) -> None:
    draft = Draft({"project": {"directory": str(tmp_path)}})
    if variables is None:
        os.mkfifo(tmp_path / ".env")
    else:
        (tmp_path / ".env").write_text(variables)
    assert ask_with_dotenv(draft, tmp_path, lambda: None) is None
    assert draft.get("project", "environment_file") is None
    [note] = draft.warnings
    assert f"{tmp_path}/.env cannot be the environment file: {reason}" in note


def test_file_with_which_the_app_cannot_be_loaded_either_is_only_mentioned(tmp_path: Path) -> None:
    draft = Draft({"project": {"directory": str(tmp_path)}})
    (tmp_path / ".env").write_text("QUEUE=orders\n")
    assert ask_with_dotenv(draft, tmp_path, lambda: draft.warn("cannot load the app")) is None
    advice = f"if the settings do not load {tmp_path}/.env themselves, name it in environment_file of [project]"
    assert draft.warnings == ["cannot load the app", advice]
    assert (draft.get("project", "environment_file"), draft.variables_of_file) == (None, {})
