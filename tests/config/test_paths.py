"""Paths in procman.toml: what they start from, which are refused, and where beat keeps its schedule."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.project import Beat, Program
from tests.config.documents import PROJECT, problems, read, read_rest


def _beat(program: Program) -> Beat:
    assert isinstance(program.options, Beat)
    return program.options


def test_paths_start_from_the_directory_of_the_file(tmp_path: Path) -> None:
    text = PROJECT.replace("/opt/catmaid", "projects/./x").replace("/opt/env", "../env//3")
    project = read(tmp_path, text + 'python_path = ["lib"]\nenvironment_file = "//etc/env"\n[beat]\nschedule_file="s"')
    assert project.directory == tmp_path / "projects" / "x"
    assert project.virtualenv == tmp_path.parent / "env" / "3"
    assert project.python_path == (tmp_path / "lib",)
    assert str(project.environment_file) == "/etc/env"
    assert _beat(project.programs[0]).schedule_file == tmp_path / "s"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "it is empty"),
        (" ", "it is empty"),
        (" a", "it begins or ends with a blank"),
        ("~/a", "write the whole path: ~ means another directory for root than for the user"),
        ("a:b", "it holds a colon, which separates the directories of PATH and PYTHONPATH"),
        ("a\\tb", "it holds a tab"),
        ("a/" + "é" * 128, "a name in it has 256 bytes, 255 are possible"),
    ],
)
def test_path_that_cannot_be_meant_is_refused(tmp_path: Path, value: str, reason: str) -> None:
    (found,) = problems(tmp_path, PROJECT.replace("/opt/env", value) + "[beat]")
    assert (
        found
        == f"FILE:5: project.virtualenv: expected a path without a colon, absolute or relative to this file ({reason})"
    )


def test_relative_path_below_a_directory_that_cannot_be_written_down_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / "odd\nname"
    odd.mkdir()
    read(odd, PROJECT + "[beat]")
    (found,) = problems(odd, PROJECT.replace("/opt/env", "env") + "[beat]")
    assert found.endswith("(write an absolute path: that of this file holds a line break)")


def test_schedule_is_kept_in_the_projects_own_data(tmp_path: Path) -> None:
    for rest, expected in (
        ("", Path("/var/lib/catmaid/celerybeat-schedule")),
        ('scheduler = "celery.beat:PersistentScheduler"', Path("/var/lib/catmaid/celerybeat-schedule")),
        ('scheduler = "django"', None),
        ('scheduler = "django"\nschedule_file = "/x"', Path("/x")),
    ):
        assert _beat(read_rest(tmp_path, f"[beat]\n{rest}").programs[0]).schedule_file == expected
