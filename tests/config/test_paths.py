"""Paths in procman.toml: their base directory, the refused ones, and the default of the schedule file."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.project import Beat, Program
from tests.config.documents import PROJECT, problems, read, read_rest


def _beat(program: Program) -> Beat:
    assert isinstance(program.options, Beat)
    return program.options


def test_relative_paths_start_from_the_directory_of_the_file(tmp_path: Path) -> None:
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
        (" a", "it starts or ends with a space"),
        ("~/a", "write the full path: ~ is another directory for root than for the user"),
        ("a:b", "it contains a colon, which separates the directories of PATH and PYTHONPATH"),
        ("a\\tb", "it contains a tab"),
        ("a/" + "é" * 128, "a name in it has 256 bytes; the maximum is 255"),
    ],
)
def test_invalid_path_is_refused(tmp_path: Path, value: str, reason: str) -> None:
    (found,) = problems(tmp_path, PROJECT.replace("/opt/env", value) + "[beat]")
    assert (
        found
        == f"FILE:5: project.virtualenv: expected a path without a colon, absolute or relative to this file ({reason})"
    )


def test_relative_path_below_an_unprintable_directory_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / "odd\nname"
    odd.mkdir()
    read(odd, PROJECT + "[beat]")
    (found,) = problems(odd, PROJECT.replace("/opt/env", "env") + "[beat]")
    assert found.endswith("(write an absolute path: the path of this file contains a line break)")


def test_schedule_file_is_in_the_data_directory_by_default(tmp_path: Path) -> None:
    for rest, expected in (
        ("", Path("/var/lib/catmaid/celerybeat-schedule")),
        ('scheduler = "celery.beat:PersistentScheduler"', Path("/var/lib/catmaid/celerybeat-schedule")),
        ('scheduler = "django"', None),
        ('scheduler = "django"\nschedule_file = "/x"', Path("/x")),
    ):
        assert _beat(read_rest(tmp_path, f"[beat]\n{rest}").programs[0]).schedule_file == expected
