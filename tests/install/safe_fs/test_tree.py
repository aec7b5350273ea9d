"""Reading and writing by descriptor: whole files, with owner and mode, and no other file."""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from procman.install.safe_fs.file_info import PathError, identify
from procman.install.safe_fs.tree import Tree, finished_name, temporary_name
from tests.install.people import NOBODY, as_nobody, needs_root


def test_file_is_written_with_its_mode_whatever_the_umask(tmp_path: Path, tree: Tree) -> None:
    before = os.umask(0o077)
    try:
        tree.write(tmp_path / "file", b"content", 0o754)
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o754
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@needs_root
def test_file_and_directory_get_their_owner(tmp_path: Path, tree: Tree) -> None:
    owner, group = identify("nobody", None)
    tree.write(tmp_path / "file", b"", 0o600, owner, group)
    tree.make_directory(tmp_path / "directory", 0o750, owner, NOBODY.pw_gid)
    assert ((tmp_path / "file").stat().st_uid, (tmp_path / "file").stat().st_gid) == (NOBODY.pw_uid, os.getegid())
    found = (tmp_path / "directory").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (NOBODY.pw_uid, NOBODY.pw_gid, 0o750)


def test_reader_of_the_old_file_keeps_the_old_content(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with (tmp_path / "file").open("rb") as reader:
        tree.write(tmp_path / "file", b"new", 0o600)
        assert reader.read() == b"old"


def test_other_names_of_the_old_file_keep_the_old_content(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "other").hardlink_to(tmp_path / "file")
    tree.write(tmp_path / "file", b"new", 0o600)
    assert (tmp_path / "other").read_bytes() == b"old"


def test_link_in_place_of_file_is_replaced_not_followed(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "file").symlink_to("target")
    tree.write(tmp_path / "file", b"new", 0o600)
    assert (tmp_path / "target").read_bytes() == b"precious"
    assert not (tmp_path / "file").is_symlink()


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(PathError, match="file cannot be written: Is a directory"):
        tree.write(tmp_path / "file", b"new", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_large_file_is_written_completely(tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    really_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: really_write(descriptor, data[:7]))
    tree.write(tmp_path / "file", bytes(range(256)), 0o600)
    assert (tmp_path / "file").read_bytes() == bytes(range(256))


@needs_root
def test_private_file_is_never_readable_by_others(public: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, int]] = []
    really_write = os.write

    def write(descriptor: int, data: bytes) -> int:
        status = os.fstat(descriptor)
        seen.append((stat.S_IMODE(status.st_mode), status.st_uid, status.st_size))
        return really_write(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    before = os.umask(0)
    try:
        tree.write(public / "file", b"secret", 0o640, 0, NOBODY.pw_gid)
    finally:
        os.umask(before)
    assert seen == [(0o640, 0, 0)]


@pytest.mark.parametrize("kind", ["pipe", "socket", "link", "directory"])
def test_non_regular_file_is_reported_but_not_read(tmp_path: Path, tree: Tree, kind: str) -> None:
    with tempfile.TemporaryDirectory(prefix="pm") as short:
        path = Path(short) / "it"
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "socket":
                socket.socket(socket.AF_UNIX).bind(str(path))
            case "link":
                path.symlink_to("/etc/passwd")
            case _:
                path.mkdir()
        found = tree.look(path)
    assert found is not None
    assert (found.content, kind in found.noun) == (None, True)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_file_replaced_during_read_is_not_followed(
    tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path, secret = tmp_path / "file", tmp_path / "secret"
    secret.write_text("secret")
    path.write_text("harmless")
    tree.look(path)
    really_stat = os.stat

    def stat_then_swap(name: str, **options: Any) -> os.stat_result:
        status = really_stat(name, **options)
        path.unlink()
        path.symlink_to(secret) if kind == "link" else os.mkfifo(path)
        return status

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", stat_then_swap)
        if kind == "link":
            with pytest.raises(PathError, match="file cannot be read"):
                tree.look(path)
        else:
            found = tree.look(path)
            assert found is not None
            assert found.content is None


@needs_root
def test_link_that_others_could_have_created_is_not_read(public: Path, tree: Tree) -> None:
    public.chmod(0o1777)
    as_nobody(lambda: (public / "current").symlink_to("generations/1"))
    with pytest.raises(PathError, match="current is a symbolic link that users other than root"):
        tree.read_link(public / "current")


def test_missing_path_is_none_or_empty(tmp_path: Path, tree: Tree) -> None:
    assert tree.look(tmp_path / "file") is None
    assert tree.look(tmp_path / "no/file") is None
    assert tree.names(tmp_path / "no") == []
    assert tree.read_link(tmp_path / "no/link") is None
    assert not tree.has_directory(tmp_path / "no")


def test_file_that_is_too_large_is_not_read(tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("procman.install.safe_fs.at_descriptor._LARGEST_FILE", 10)
    (tmp_path / "file").write_bytes(b"x" * 11)
    with pytest.raises(PathError, match="File too large"):
        tree.look(tmp_path / "file")


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_file_that_others_can_write_is_not_trusted(tmp_path: Path, tree: Tree, mode: int) -> None:
    (tmp_path / "manifest.json").touch()
    (tmp_path / "manifest.json").chmod(mode)
    with pytest.raises(PathError, match="is not trusted"):
        tree.read_private(tmp_path / "manifest.json")


@needs_root
def test_file_of_another_user_is_not_trusted(public: Path, tree: Tree) -> None:
    (public / "manifest.json").touch()
    os.chown(public / "manifest.json", NOBODY.pw_uid, -1)
    with pytest.raises(PathError, match="is not trusted"):
        tree.read_private(public / "manifest.json")


def test_existing_directory_keeps_its_mode(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "directory").mkdir(mode=0o711)
    assert not tree.make_directory(tmp_path / "directory", 0o755)
    assert stat.S_IMODE((tmp_path / "directory").stat().st_mode) == 0o711


def test_link_to_directory_counts_as_directory(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert tree.has_directory(tmp_path / "link")
    assert not tree.make_directory(tmp_path / "link", 0o755)


def test_directory_that_is_not_empty_is_not_removed(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory/file").touch()
    assert not tree.remove_directory(tmp_path / "directory")
    tree.remove(tmp_path / "directory/file")
    assert tree.remove_directory(tmp_path / "directory")
    assert not (tmp_path / "directory").exists()


@pytest.mark.parametrize("way", [Tree.remove_tree, Tree.remove_directory])
def test_recreated_directory_is_opened_again(tmp_path: Path, tree: Tree, way: Callable[[Tree, Path], object]) -> None:
    for content in (b"one", b"two"):
        tree.make_directory(tmp_path / "directory", 0o755)
        tree.write(tmp_path / "directory/file", content, 0o600)
        assert (tmp_path / "directory/file").read_bytes() == content
        (tmp_path / "directory/file").unlink()
        way(tree, tmp_path / "directory")


def test_renamed_directory_is_used_by_its_new_name(tmp_path: Path, tree: Tree) -> None:
    tree.make_directory(tmp_path / "old", 0o755)
    tree.write(tmp_path / "old/file", b"", 0o600)
    tree.rename(tmp_path / "old", tmp_path / "new")
    tree.make_directory(tmp_path / "old", 0o755)
    tree.write(tmp_path / "old/second", b"", 0o600)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {
        "new",
        "new/file",
        "old",
        "old/second",
    }


def test_tree_is_removed_without_following_its_links(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    (tmp_path / "gone/deep").mkdir(parents=True)
    (tmp_path / "gone/deep/link").symlink_to(tmp_path / "precious")
    (tmp_path / "gone/file").touch()
    os.mkfifo(tmp_path / "gone/pipe")
    tree.remove_tree(tmp_path / "gone")
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["precious", "file"]


def test_tree_that_is_still_written_to_is_removed(tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    (gone / "file").touch()
    really_list = os.listdir
    late: list[Path] = [gone / "late"]

    def listdir(descriptor: int) -> list[str]:
        names = really_list(descriptor)
        (gone / "file").unlink(missing_ok=True)
        if late:
            late.pop().touch()
        return names

    monkeypatch.setattr(os, "listdir", listdir)
    tree.remove_tree(gone)
    assert not gone.exists()


def nest(path: Path, depth: int) -> None:
    """Make `depth` directories, one in the other; their path is longer than any system call takes."""
    path.mkdir()
    here = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.symlink("/etc/passwd", "link", dir_fd=here)
    os.close(here)


def test_tree_of_any_depth_is_removed(tmp_path: Path, tree: Tree) -> None:
    nest(tmp_path / "gone", 3000)
    (tmp_path / "gone/beside").mkdir()
    tree.remove_tree(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []
    assert Path("/etc/passwd").exists()


@needs_root
def test_removal_follows_no_link_of_service_user(public: Path, tree: Tree) -> None:
    (public / "precious").write_text("of root")
    (public / "run").mkdir()
    os.chown(public / "run", NOBODY.pw_uid, -1)
    as_nobody(lambda: (public / "run/lock").symlink_to(public / "precious"))
    as_nobody(lambda: (public / "run/etc").symlink_to(public))
    tree.remove_tree(public / "run")
    assert (public / "precious").read_text() == "of root"
    assert [path.name for path in public.iterdir()] == ["precious"]


@needs_root
def test_permission_error_suggests_root(public: Path) -> None:
    def write() -> None:
        with Tree() as tree, pytest.raises(PathError, match="file cannot be written: Permission denied") as raised:
            tree.write(public / "file", b"", 0o644)
        assert "as root" in raised.value.hint

    as_nobody(write)


@needs_root
def test_file_of_another_user_needs_root(public: Path) -> None:
    os.chown(public, NOBODY.pw_uid, -1)

    def write() -> None:
        with Tree() as tree, pytest.raises(PathError, match="Operation not permitted"):
            tree.write(public / "file", b"", 0o644, owner=0)

    as_nobody(write)
    assert list(public.iterdir()) == []


def test_unknown_user_is_named() -> None:
    with pytest.raises(PathError, match="no user no-such-user"):
        identify("no-such-user", None)
    with pytest.raises(PathError, match="no group no-such-group"):
        identify(None, "no-such-group")
    assert identify("root", "0") == (0, 0)


@pytest.mark.parametrize("name", ["catmaid-celery.conf", "1", ".hidden", "a\nb", "x.procman-1"])
def test_temporary_name_contains_final_name(name: str) -> None:
    assert finished_name(temporary_name(name)) == name
    assert finished_name(temporary_name(temporary_name(name))) == name
    assert finished_name(name) is None


def test_every_directory_written_to_is_synced(tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    really_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        really_fsync(descriptor)

    tree.make_directory(tmp_path / "one", 0o755)
    tree.write(tmp_path / "one/file", b"", 0o600)
    tree.link(tmp_path / "one/link", "file")
    monkeypatch.setattr(os, "fsync", fsync)
    tree.sync()
    assert sorted(synced) == sorted([tmp_path.stat().st_ino, (tmp_path / "one").stat().st_ino])
    tree.sync()
    assert len(synced) == 2


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = list(Path("/proc/self/fd").iterdir())
    with Tree() as tree:
        tree.make_directory(tmp_path / "one", 0o755)
        tree.write(tmp_path / "one/file", b"", 0o600)
        tree.look(tmp_path / "one/file")
        tree.names(tmp_path / "one")
        tree.remove_tree(tmp_path / "one")
        tree.sync()
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)


def test_disk_error_names_kernel_log(tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(PathError, match="Input/output error") as raised:
        tree.write(tmp_path / "file", b"", 0o600)
    assert "dmesg" in raised.value.hint
    assert list(tmp_path.iterdir()) == []
