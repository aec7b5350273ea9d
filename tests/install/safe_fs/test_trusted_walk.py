"""S3: procman follows no link that another user could have created, and enters no directory of another user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procman.install.safe_fs.file_info import PathError
from procman.install.safe_fs.tree import Tree
from procman.install.safe_fs.trusted_walk import Walk
from tests.install.people import NOBODY, as_nobody, needs_root


def _really(path: Path) -> int:
    walk = Walk()
    try:
        return os.fstat(walk.descriptor(path)).st_ino
    finally:
        walk.close()


def test_directory_is_reached_from_the_root(tmp_path: Path) -> None:
    assert _really(tmp_path) == tmp_path.stat().st_ino


@pytest.mark.parametrize("target", ["real", "./real", "../{name}/real", "{base}/real", "detour/../real"])
def test_link_of_caller_in_private_directory_is_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "real/below").mkdir(parents=True)
    (tmp_path / "detour").mkdir()
    (tmp_path / "link").symlink_to(target.format(name=tmp_path.name, base=tmp_path))
    assert _really(tmp_path / "link/below") == (tmp_path / "real/below").stat().st_ino


def test_parent_of_linked_directory_is_that_of_target(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (tmp_path / "elsewhere/beside").mkdir()
    (tmp_path / "deep").symlink_to("elsewhere/deep")
    (tmp_path / "link").symlink_to("deep/../beside")
    assert _really(tmp_path / "link") == (tmp_path / "elsewhere/beside").stat().st_ino


def test_circular_link_is_an_error(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(PathError, match="one/file cannot be written"):
        tree.write(tmp_path / "one/file", b"", 0o644)


@pytest.mark.parametrize("mode", [0o1777, 0o775, 0o757])
def test_link_in_directory_writable_by_others_is_not_followed(tmp_path: Path, mode: int) -> None:
    (tmp_path / "real").mkdir()
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "link").symlink_to(tmp_path / "real")
    shared.chmod(mode)
    with pytest.raises(PathError):
        _really(shared / "link")


def test_world_writable_directory_needs_sticky_bit(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PathError, match="is writable by everyone"):
        _really(tmp_path)
    tmp_path.chmod(0o1777)
    assert _really(tmp_path) == tmp_path.stat().st_ino


def test_group_writable_directory_is_entered(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    assert _really(tmp_path) == tmp_path.stat().st_ino


@needs_root
def test_root_refuses_directory_of_service_user(public: Path) -> None:
    _given_to_nobody(public / "data")
    (public / "data/below").mkdir()
    with pytest.raises(PathError, match="data belongs to nobody"):
        _really(public / "data/below")


@needs_root
def test_link_of_service_user_is_not_followed(public: Path) -> None:
    (public / "real").mkdir()
    (public / "link").symlink_to("real")
    os.chown(public / "link", NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)
    with pytest.raises(PathError, match="link is a symbolic link that users other than root could have created"):
        _really(public / "link")


@needs_root
def test_link_in_directory_of_another_user_is_not_followed(public: Path) -> None:
    (public / "real").mkdir()
    (public / "link").symlink_to("real")
    os.chown(public, NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(PathError, match="belongs to nobody"):
        _really(public / "link")


@needs_root
def test_user_may_use_own_directories_and_those_of_root(public: Path) -> None:
    home = _given_to_nobody(public / "home")

    def write_there() -> None:
        with Tree() as tree:
            tree.make_directory(home / "below", 0o700)
            tree.write(home / "below/file", b"mine", 0o600)

    as_nobody(write_there)
    assert (home / "below/file").read_bytes() == b"mine"


@needs_root
def test_user_may_not_use_directory_of_third_user(public: Path) -> None:
    (public / "third").mkdir()
    os.chown(public / "third", 12345, -1)

    def enter() -> None:
        with pytest.raises(PathError, match="third belongs to 12345"):
            _really(public / "third")

    as_nobody(enter)


@needs_root
def test_walk_needs_only_search_permission(public: Path) -> None:
    (public / "closed/open").mkdir(parents=True)
    (public / "closed").chmod(0o711)
    as_nobody(lambda: _really(public / "closed/open"))


def _given_to_nobody(path: Path) -> Path:
    path.mkdir()
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    return path
