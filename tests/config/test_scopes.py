"""System and user scope: their directories, and the user that the programs run as."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.config.directories import directories_for
from procman.model import Scope
from tests.config.documents import PROJECT, USER_SCOPE, problems, read


def test_directories_of_a_user_follow_xdg(tmp_path: Path) -> None:
    environment = {"HOME": "/home/anna", "XDG_STATE_HOME": "/state//x/..", "XDG_CONFIG_HOME": "relative"}
    found = directories_for("catmaid", Scope.USER, environment)
    assert read(tmp_path, USER_SCOPE + "[beat]", environment).directories == found
    assert found.configuration == Path("/home/anna/.config/procman/catmaid")
    assert found.state == Path("/state/procman/catmaid")
    assert {found.logs, found.library} == {found.state / name for name in ("log", "lib")}
    assert found.data == Path("/home/anna/.local/share/catmaid")
    assert found.run("catmaid-celery") == found.state / "run" / "catmaid-celery"


def test_directories_of_the_host_depend_only_on_the_name() -> None:
    found = directories_for("catmaid", Scope.SYSTEM, {"HOME": "/root", "XDG_STATE_HOME": "/elsewhere"})
    assert found.configuration == Path("/etc/procman/catmaid")
    assert found.state == Path("/var/lib/procman/catmaid")
    assert found.logs == Path("/var/log/catmaid")
    assert found.library == Path("/usr/local/lib/procman/catmaid")
    assert found.data == Path("/var/lib/catmaid")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "HOME is '': in user scope it must be your home directory"),
        ({"HOME": "home"}, "HOME is 'home': in user scope it must be your home directory"),
        ({"HOME": "/a\nb"}, "HOME contains a line break: the files that procman writes cannot name that directory"),
        (
            {"HOME": "/a", "XDG_STATE_HOME": "/\udcff"},
            "XDG_STATE_HOME contains a character U+DCFF: the files that procman writes cannot name that directory",
        ),
    ],
)
def test_unusable_home_is_refused_in_user_scope(tmp_path: Path, environment: dict[str, str], reason: str) -> None:
    assert problems(tmp_path, USER_SCOPE + "[beat]", environment) == [f"FILE:6: project.scope: {reason}"]


def test_user_and_group_are_refused_in_user_scope(tmp_path: Path) -> None:
    reason = 'not allowed with scope = "user": the programs run as the user who installs them'
    assert problems(tmp_path, USER_SCOPE + 'user = "x"\ngroup = "y"\n[beat]') == [
        f"FILE:7: project.user: {reason}",
        f"FILE:8: project.group: {reason}",
    ]


def test_user_is_required_in_system_scope(tmp_path: Path) -> None:
    assert problems(tmp_path, PROJECT.replace('user = "www-data"', "") + "[beat]") == [
        'FILE:1: project.user: missing: name the user that the programs run as, such as "www-data"'
    ]
