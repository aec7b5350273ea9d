"""The section of the watcher, an event listener, as supervisord reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.supervisor.renderer import render
from procman.backends.supervisor.verify import verify
from procman.project import Project, RenderedFile
from tests.backends.supervisor.projects import embedded
from tests.read_by_supervisor import VERSIONS, reader

HEALTH = '[health]\nprocman = "/opt/procman/bin/procman"\n'


def listener(project: Project) -> list[RenderedFile]:
    return [file for file in render(project).files if file.programs == ("demo-health",)]


def test_watcher_needs_a_command_and_a_program_to_heal(tmp_path: Path) -> None:
    assert len(listener(embedded(tmp_path, Path("/home/ann"), HEALTH))) == 1
    assert listener(embedded(tmp_path, Path("/home/ann"))) == []
    assert listener(embedded(tmp_path, Path("/home/ann"), f"{HEALTH}heal = false")) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_supervisord_reads_the_watcher_as_an_event_listener(version: str, tmp_path: Path) -> None:
    project = embedded(tmp_path, Path("/home/ann"), HEALTH)
    [file] = listener(project)
    assert file.section
    with reader(version) as supervisor:
        answer = supervisor.read(file.content.replace(str(project.directories.logs), str(tmp_path)))
    assert list(answer["programs"]) == ["demo-health:demo-health"]
    found = answer["programs"]["demo-health:demo-health"]
    state = str(project.directories.state)
    assert found["argv"] == ["/opt/procman/bin/procman", "heal", "--state", state, "--listen"]
    assert (found["stopasgroup"], found["killasgroup"], found["redirect_stderr"]) == (False, True, False)
    assert found["stdout_logfile"] is None


def test_watcher_passes_the_verification(tmp_path: Path) -> None:
    project = embedded(tmp_path, Path("/home/ann"), HEALTH)
    assert verify(project, render(project)) == []


def test_template_that_makes_a_worker_an_event_listener_is_refused(tmp_path: Path) -> None:
    project = embedded(tmp_path, Path("/home/ann"), HEALTH)
    rendering = render(project)
    files = tuple(
        replace(file, content=file.content.replace("[program:", "[eventlistener:")) for file in rendering.files
    )
    assert any("demo-celery" in problem for problem in verify(project, replace(rendering, files=files)))
