"""The search for procman.toml, and the messages if it cannot be read."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from procman.config.find_file import FROM_STANDARD_INPUT, files_for_host, find, path_for_host, working_directory
from procman.errors import ConfigurationError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory below one with a procman.toml."""
    place = tmp_path / "site" / "projects"
    place.mkdir(parents=True)
    (tmp_path / "site" / "procman.toml").touch()
    return place


def refusal(explicit: Path | None, environment: dict[str, str], directory: Path) -> tuple[str, str]:
    with pytest.raises(ConfigurationError) as raised:
        find(explicit, environment, directory)
    (problem,) = raised.value.problems
    return problem, raised.value.hint


def test_nearest_file_in_or_above_the_directory_is_found(place: Path) -> None:
    assert find(None, {}, place) == place.parent / "procman.toml"
    (place / "procman.toml").touch()
    assert find(None, {}, place) == place / "procman.toml"


def test_working_directory_keeps_the_links_that_the_shell_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, current = tmp_path / "releases/1", tmp_path / "current"
    release.mkdir(parents=True)
    current.symlink_to(release)
    monkeypatch.chdir(current)
    assert working_directory({"PWD": str(current)}) == current
    for other in ("", ".", str(tmp_path), str(tmp_path / "gone")):
        assert working_directory({"PWD": other}) == release


def test_files_in_etc_are_listed_by_project(home: Path) -> None:
    assert files_for_host() == {}
    for name in ("shop", "blog", "empty"):
        path_for_host(name).parent.mkdir(parents=True)
    path_for_host("shop").touch()
    path_for_host("blog").symlink_to(home / "missing")
    assert list(files_for_host().items()) == [(name, path_for_host(name)) for name in ("blog", "shop")]


def test_missing_file_is_none(tmp_path: Path) -> None:
    assert find(None, {}, tmp_path) is None


def test_option_overrides_variable_and_variable_overrides_search(place: Path) -> None:
    for name in ("option.toml", "variable.toml"):
        (place / name).touch()
    environment = {"PROCMAN_CONFIG": "variable.toml"}
    assert find(Path("option.toml"), environment, place) == place / "option.toml"
    assert find(place / "option.toml", environment, place) == place / "option.toml"
    assert find(None, environment, place) == place / "variable.toml"
    assert find(None, {"PROCMAN_CONFIG": ""}, place) == place.parent / "procman.toml"


def test_parent_of_a_link_is_resolved_as_the_kernel_does(place: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(place)
    assert find(Path("../procman.toml"), {}, tmp_path / "link") == place.parent / "procman.toml"


@pytest.mark.parametrize(
    ("name", "problem", "hint"),
    [
        ("missing.toml", "no such file", "`procman init` writes one."),
        ("file/procman.toml", "cannot be read{}: Not a directory", ""),
        ("directory", "expected a file, found a directory", "Did you mean {directory}/procman.toml?"),
        ("nowhere", "dangling symbolic link", "Fix or remove the link."),
        ("circle", "cannot be read{}: Too many levels of symbolic links", ""),
        ("fifo", "expected a file, found something else", FROM_STANDARD_INPUT),
    ],
)
@pytest.mark.parametrize("by", ["--config", "PROCMAN_CONFIG"])
def test_unreadable_file_is_reported_with_the_option_or_variable_that_names_it(
    tmp_path: Path, by: str, name: str, problem: str, hint: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "nowhere").symlink_to("missing")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "fifo")
    explicit = Path(name) if by == "--config" else None
    because = f" (named by {by})"
    message = problem.format(because) if "{}" in problem else problem + because
    assert refusal(explicit, {"PROCMAN_CONFIG": name}, tmp_path) == (
        f"{tmp_path / name}: {message}",
        hint.format(directory=tmp_path / "directory"),
    )


def test_broken_link_is_an_error_and_not_skipped(place: Path) -> None:
    (place / "procman.toml").symlink_to("missing")
    problem, _ = refusal(None, {}, place)
    assert problem == f"{place / 'procman.toml'}: dangling symbolic link"


@pytest.mark.root("only root refuses untrusted files")
def test_untrusted_file_is_an_error_for_root_and_not_skipped(place: Path) -> None:
    (place / "procman.toml").touch()
    (place / "procman.toml").chmod(0o666)
    problem, _ = refusal(None, {}, place)
    assert problem.startswith(f"{place / 'procman.toml'}: refusing to use this file as root")
    problem, _ = refusal(place / "procman.toml", {}, place)
    assert problem.startswith(f"{place / 'procman.toml'}: refusing to use this file as root")


AS_NOBODY = """
import os, pwd, sys
from pathlib import Path
from procman.config.find_file import find
from procman.errors import ConfigurationError
nobody = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(nobody.pw_gid)
os.setuid(nobody.pw_uid)
try:
    print(find(None, {}, Path(sys.argv[1])))
except ConfigurationError as error:
    print(error)
"""
"""Becomes another user only after the imports, because the user `nobody` may be unable to read this checkout."""


def _as_nobody(directory: Path) -> str:
    command = [sys.executable, "-c", AS_NOBODY, str(directory)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """Return a directory that every user can write to; those of pytest are private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.mark.root("only root can become another user")
def test_other_users_may_use_any_readable_file(open_to_all: Path) -> None:
    path = open_to_all / "procman.toml"
    path.touch()
    path.chmod(0o666)
    assert _as_nobody(open_to_all) == f"{path}\n"
    path.chmod(0o600)
    assert _as_nobody(open_to_all) == f"{path}: permission denied\n"


@pytest.mark.root("only root can become another user")
def test_file_in_an_inaccessible_directory_is_skipped(open_to_all: Path) -> None:
    path = open_to_all / "procman.toml"
    path.touch()
    closed = open_to_all / "closed"
    closed.mkdir(0o700)
    (closed / "procman.toml").touch()
    assert _as_nobody(closed / "inner") == f"{path}\n"
