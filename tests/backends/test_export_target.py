"""An export target needs only a name, rules and `render`, and nothing else that a backend has."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from procman.backends import backend_named
from procman.backends.base import ExportTarget
from procman.backends.record import Rule
from procman.config.load import load
from procman.errors import ConfigurationError
from procman.launch import launch_of
from procman.model import BackendName
from procman.project import Project, RenderedFile, Rendering
from tests.config.documents import HOME, PROJECT


@dataclass(frozen=True)
class Procfile:
    """Foreman's file: lines with a name and a command."""

    name: str = "procfile"
    rules: tuple[Rule, ...] = (
        Rule("program.memory_max_mib", "a Procfile knows no limits: remove it ({value})"),
        Rule("program.nice", "a Procfile starts all alike", refused="[^0]"),
    )

    def render(self, project: Project) -> Rendering:
        """Return the single file."""
        lines = [f"{each.name}: {shlex.join(launch_of(project, each).argv)}\n" for each in project.programs]
        path = project.directory / "Procfile"
        return Rendering((), (RenderedFile(path, "".join(lines), 0o644, None, None, ()),))


def read(directory: Path, rest: str, target: ExportTarget) -> Project:
    path = directory / "procman.toml"
    path.write_text(PROJECT + rest)
    return load(path, HOME, target=target)


def test_target_renders_the_launch_of_every_backend(tmp_path: Path) -> None:
    target: ExportTarget = Procfile()
    project = read(tmp_path, "[worker.celery]\nlauncher = false\n[beat]\nlauncher = false\n", target)
    [file] = target.render(project).files
    [worker, beat] = file.content.splitlines()
    assert worker.startswith("catmaid-celery: celery -A mysite worker ")
    assert beat.startswith("catmaid-celery-beat: celery -A mysite beat ")


def test_rules_of_the_target_replace_those_of_the_backend(tmp_path: Path) -> None:
    # supervisord, which is not configured here, would refuse the group and tasks_max.
    rest = 'group = "www-data"\n[worker.celery]\nmemory_max_mib = 64\ntasks_max = 9\n[beat]\nnice = 5\n'
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, rest, Procfile())
    assert [problem.rpartition("procman.toml:")[2] for problem in raised.value.problems] == [
        "9: worker.celery.memory_max_mib: a Procfile knows no limits: remove it (64)",
        "12: beat.nice: a Procfile starts all alike",
    ]


@pytest.mark.parametrize("name", BackendName)
def test_every_backend_is_an_export_target(name: BackendName) -> None:
    target: ExportTarget = backend_named(name)
    assert target.name == name.value
