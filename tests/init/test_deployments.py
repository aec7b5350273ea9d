"""The process files of public deployments become the projects that their `deployment.toml` describes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from procman.agent import LAUNCHER
from procman.backends import backend_named
from procman.celery_cli.parse import CeleryCommand, read_command
from procman.config.load import load
from procman.init.comparing.report import compared_projects
from procman.init.environment_file import path_beside, write_secrets
from procman.init.init import InitReport, NewProject, init
from procman.launch import launch_of
from procman.model import BackendName, Scope
from procman.project import Program, Project
from tests.init.deployments import ROOT, Deployment, deployments, put_on_disk, table

REPOSITORY = Path(__file__).parents[2]

ALL = deployments()
EACH = pytest.mark.parametrize("deployment", ALL, ids=lambda deployment: deployment.name)

FROM_PROCMAN = {"hostname", "loglevel", "schedule_file"}
"""Options that procman always sets, whether the deployment does or not; a comparison explains them."""


class Imported(NamedTuple):
    """A deployment on disk, and what an import made of it."""

    deployment: Deployment
    root: Path
    report: InitReport
    projects: tuple[Project, ...]

    @property
    def programs(self) -> list[tuple[Project, Program]]:
        """Every program with its project."""
        return [(project, program) for project in self.projects for program in project.programs]


@pytest.fixture(params=ALL, ids=lambda deployment: deployment.name, scope="module")
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    deployment: Deployment = request.param
    directory = tmp_path_factory.mktemp(deployment.name)
    root = directory / "host"
    put_on_disk(deployment.name, root)
    (directory / "empty").mkdir()
    sources = [str(root / source) for source in deployment.sources]
    output = directory / "procman.toml"
    report = init(
        directory / "empty",
        app=deployment.app,
        scope=Scope.SYSTEM,
        sources=sources,
        output=output,
        environment={"PATH": ""},
        root=root,
    )
    projects = tuple(_loaded(deployment, each) for each in report.projects)
    return Imported(deployment, root, report, projects)


def _loaded(deployment: Deployment, new: NewProject) -> Project:
    """Return the project of `new`, written with the keys filled in that only the user knows."""
    assert new.path
    text = new.text
    for key, value in deployment.fill_in.items():
        text, count = re.subn(rf"(?m)^# {key} = .*", f'{key} = "{value}"', text)
        assert count, f"{key} is not asked for"
    new.path.write_text(text)
    if new.secrets:
        write_secrets(new.secrets, path_beside(new.path))
    return load(new.path, {})


@EACH
def test_every_expected_command_is_one_of_celery(deployment: Deployment) -> None:
    for program in deployment.programs:
        command = read_command(shlex.split(program["celery"]))
        assert command is not None, program
        assert (command.doubtful, command.dropped) == ({}, {})


def test_every_program_and_no_other_is_imported(imported: Imported) -> None:
    found = [_summary(_command(project, program)) for project, program in imported.programs]
    assert sorted(found) == sorted(_summary(_expected(program)) for program in imported.deployment.programs)
    assert imported.report.left_out == ()


def _summary(command: CeleryCommand) -> str:
    """Return what tells the programs of one deployment apart."""
    values = {name: value for name, value in command.values.items() if name in ("queues", "exclude_queues")}
    return f"{command.kind.value} {command.project.get('app')} {values}"


def test_options_are_the_same(imported: Imported) -> None:
    for expected, _, program, command in _pairs(imported):
        wanted = _expected(expected).values
        found = {name: value for name, value in command.values.items() if name in wanted or name not in FROM_PROCMAN}
        assert found == dict(wanted), program.name


def test_surroundings_are_the_same(imported: Imported) -> None:
    for expected, project, program, _ in _pairs(imported):
        given = {name: value for name, value in expected.items() if name not in ("celery", "environment")}
        found = {name: _found(name, project, program) for name in given}
        assert found == {name: _in(imported.root, value) for name, value in given.items()}, program.name
        for name, value in expected.get("environment", {}).items():
            assert launch_of(project, program).environment.get(name) == value, f"{program.name}: {name}"


def _in(root: Path, value: Any) -> Any:
    return value.replace(ROOT, str(root)) if isinstance(value, str) else value


def _found(name: str, project: Project, program: Program) -> Any:
    match name:
        case "project":
            return project.name
        case "wrapper":
            return [Path(word).name for word in program.wrapper]
        case "user" | "group" | "settings":
            return getattr(project, name)
        case "directory" | "virtualenv":
            return str(getattr(project, name))
        case _:
            return getattr(program, name)


def test_secrets_are_in_the_environment_file_alone(imported: Imported) -> None:
    secrets = {name: value for project in imported.report.projects for name, value in project.secrets.items()}
    assert sorted(secrets) == sorted(imported.deployment.secrets)
    for project in imported.report.projects:
        assert "hidden-" not in project.text


def test_every_difference_has_a_reason(imported: Imported) -> None:
    for project in compared_projects(imported.report, force=False, environment={}):
        for program in project.programs:
            assert program.problem == ""
            without = [(value.name, value.old, value.new) for value in program.differences if not value.reason]
            assert without == ([("app", None, named)] if (named := imported.deployment.app) else [])


@pytest.mark.parametrize("backend", list(BackendName), ids=lambda backend: backend.value)
def test_it_can_be_rendered(imported: Imported, backend: BackendName) -> None:
    assert imported.projects
    for project in imported.projects:
        rendering = backend_named(backend).render(replace(project, backend=backend))
        names = {name for file in rendering.files for name in file.programs}
        assert names >= {program.name for program in project.programs}


def test_each_existing_program_is_adopted_once(imported: Imported) -> None:
    adopted = [source for _, program in imported.programs for source in program.adopts]
    has_sources = not imported.deployment.form.startswith(("docker-compose", "shell"))
    assert bool(adopted) == has_sources
    assert len(adopted) == len(set(adopted))


def test_docs_have_the_table_of_all_deployments() -> None:
    assert table() in (REPOSITORY / "docs/import.md").read_text(encoding="utf-8")


def test_nearly_all_deployments_are_imported_whole() -> None:
    assert len([deployment for deployment in ALL if not deployment.partly]) >= 20


def _command(project: Project, program: Program) -> CeleryCommand:
    argv = launch_of(project, program).argv
    at = next(number for number, word in enumerate(argv) if Path(word).name == LAUNCHER)
    command = read_command(["celery", *argv[at + 1 :]])
    assert command
    return command


def _expected(program: Mapping[str, Any]) -> CeleryCommand:
    command = read_command(shlex.split(program["celery"]))
    assert command
    return command


def _pairs(
    imported: Imported,
) -> Sequence[tuple[Mapping[str, Any], Project, Program, CeleryCommand]]:
    """Return each expected program with the one that was imported."""
    found = {}
    for project, program in imported.programs:
        command = _command(project, program)
        found[_summary(command)] = (project, program, command)
    return [(each, *found[_summary(_expected(each))]) for each in imported.deployment.programs]
