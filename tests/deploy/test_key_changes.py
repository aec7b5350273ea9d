"""Two versions of procman.toml are compared by their keys, without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.deploy.key_changes import KeyChange, program_changes, project_changes
from procman.project import Project
from tests.config.documents import PROJECT, read

WORKERS = '[worker.fetch]\ninstances = 4\nqueues = ["fetch"]\n[worker.crop]\n[beat]\n'


def versions(directory: Path, before: str, after: str, *, project: str = "") -> tuple[Project, Project]:
    return read(directory, PROJECT + before), read(directory, PROJECT + project + after)


def of_programs(directory: Path, before: str, after: str) -> dict[str, list[KeyChange]]:
    return {each.table: [*each.changes] for each in program_changes(*versions(directory, before, after))}


def test_same_file_has_no_changes(tmp_path: Path) -> None:
    both = versions(tmp_path, WORKERS, WORKERS)
    assert program_changes(*both) == project_changes(*both) == []


def test_changed_key_of_instances_is_one_change(tmp_path: Path) -> None:
    after = WORKERS.replace('["fetch"]', '["fetch", "orchard"]')
    assert of_programs(tmp_path, WORKERS, after) == {"worker.fetch": [KeyChange("queues", "fetch", "fetch, orchard")]}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("concurrency = 2", "", KeyChange("concurrency", "2", "unset")),
        ("", "events = true", KeyChange("events", "false", "true")),
        ("", "[worker.crop.environment]\nLANG = 'C'", KeyChange("environment.LANG", "unset", "C")),
        ("", "[worker.crop.supervisor]\npriority = 7", KeyChange("supervisor.priority", "unset", "7")),
    ],
)
def test_each_kind_of_value_is_shown_as_text(tmp_path: Path, before: str, after: str, expected: KeyChange) -> None:
    found = of_programs(tmp_path, f"[worker.crop]\n{before}\n", f"[worker.crop]\n{after}\n")
    assert found == {"worker.crop": [expected]}


def test_number_of_instances_and_table_of_the_whole_project(tmp_path: Path) -> None:
    after = WORKERS.replace("instances = 4", "instances = 5")
    assert of_programs(tmp_path, WORKERS, after) == {"worker.fetch": [KeyChange("instances", "4", "5")]}
    [project, health] = project_changes(
        *versions(tmp_path, WORKERS, WORKERS + "[health]\nheal = false\n", project='accept = ["PM773"]\n')
    )
    assert (project.table, project.changes) == ("project", (KeyChange("accept", "unset", "PM773"),))
    assert (health.table, health.changes) == ("health", (KeyChange("heal", "true", "false"),))


def test_default_of_health_is_reported_once_and_not_for_each_program(tmp_path: Path) -> None:
    assert of_programs(tmp_path, WORKERS, WORKERS + "[health]\nstall_seconds = 900\n") == {}


def test_passwords_are_masked(tmp_path: Path) -> None:
    before = "[command.web]\nargv = ['web']\n[command.web.environment]\nAPI_TOKEN = 'one'\n"
    project = "public = ['API_TOKEN']\n"
    old = read(tmp_path, PROJECT + project + before)
    new = read(tmp_path, PROJECT + project + before.replace("'one'", "'e83c0a1f55b2'"))
    [web] = program_changes(old, new)
    assert web.changes == (KeyChange("environment.API_TOKEN", "***", "***"),)
