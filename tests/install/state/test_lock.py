"""R3: two installs at once on one host are serialised; the second names the holder of the lock."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from procman.install.safe_fs.file_info import PathError
from procman.install.safe_fs.tree import Tree
from procman.install.state import scope_directories
from procman.install.state.lock import LockedError, hold_lock
from tests.install import sample
from tests.install.people import as_nobody, needs_root

HOLDER = """
import sys
from pathlib import Path
from procman.install.state.lock import hold_lock
sys.argv = ["/usr/local/bin/procman", "install", "--wait", "60"]
with hold_lock(Path(sys.stdin.readline().strip()), 0, print):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _another(shared_state: Path) -> Iterator[subprocess.Popen[str]]:
    """Start another process that holds the lock until its standard input ends."""
    command = [sys.executable, "-c", HOLDER]
    root = Path(sample.__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as other:
        assert other.stdin
        assert other.stdout
        other.stdin.write(f"{shared_state}\n")
        other.stdin.flush()
        assert other.stdout.readline() == "held\n"
        yield other
        other.stdin.close()


def test_second_install_names_holder_of_lock(tmp_path: Path) -> None:
    with _another(tmp_path) as other:
        reported: list[str] = []
        with pytest.raises(LockedError) as raised, hold_lock(tmp_path, 0.3, reported.append):
            pytest.fail("the lock was held twice")
        assert f"`procman install --wait 60` (process {other.pid}, since " in raised.value.message
        assert reported
        assert str(other.pid) in reported[0]


def test_second_install_continues_after_first_has_ended(tmp_path: Path) -> None:
    with _another(tmp_path) as other:
        waiting = threading.Event()
        began: list[bool] = []

        def second() -> None:
            with hold_lock(tmp_path, 30, lambda _: waiting.set()):
                began.append(True)

        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(120)
        assert not began
        assert other.stdin
        other.stdin.close()
        thread.join(30)
        assert began


def test_lock_of_killed_install_is_free(tmp_path: Path) -> None:
    with _another(tmp_path) as other:
        other.kill()
        other.wait()
        with hold_lock(tmp_path, 0, print):
            assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_free_lock_names_no_holder(tmp_path: Path) -> None:
    with hold_lock(tmp_path, 0, print):
        pass
    assert (tmp_path / "lock").read_bytes() == b""


def test_holder_without_name_is_another_procman_command(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(LockedError, match="another procman command is still running"),
            hold_lock(tmp_path, 0, print),
        ):
            pytest.fail("the lock was held twice")


def test_lock_file_is_private(tmp_path: Path) -> None:
    with hold_lock(tmp_path / "state", 0, print):
        assert stat.S_IMODE((tmp_path / "state/lock").stat().st_mode) == 0o600


def test_lock_file_removed_by_purge_is_locked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really_lock = fcntl.flock
    removed: list[bool] = []

    def lock(descriptor: int, operation: int) -> None:
        if not removed:
            removed.append(True)
            (tmp_path / "lock").unlink()
        really_lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock)
    with hold_lock(tmp_path, 0, print), (tmp_path / "lock").open() as file, pytest.raises(BlockingIOError):
        really_lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_directory_removed_by_purge_meanwhile_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really_open = Tree.open_lock
    removed: list[bool] = []

    def open_lock(tree: Tree, path: Path) -> int:
        if not removed:
            removed.append(True)
            (path.parent / "directories.json").unlink()
            path.parent.rmdir()
        return really_open(tree, path)

    monkeypatch.setattr(Tree, "open_lock", open_lock)
    with hold_lock(tmp_path / "state", 0, print):
        assert (tmp_path / "state/lock").exists()


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_lock_that_is_not_a_file_is_refused(tmp_path: Path, kind: str) -> None:
    if kind == "link":
        (tmp_path / "lock").symlink_to("elsewhere")
    else:
        os.mkfifo(tmp_path / "lock")
    with pytest.raises(PathError, match="lock"), hold_lock(tmp_path, 0, print):
        pytest.fail("it was locked")
    assert not (tmp_path / "elsewhere").exists()


@needs_root
def test_lock_file_of_another_user_is_refused(public: Path) -> None:
    public.chmod(0o1777)
    as_nobody((public / "lock").touch)
    with pytest.raises(PathError, match="lock is not a file owned by root"), hold_lock(public, 0, print):
        pytest.fail("it was locked")


def test_two_commands_that_create_scope_at_once_create_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared_state = tmp_path / "a/b/procman"
    really_rename = Tree.rename

    def rename(tree: Tree, path: Path, new: Path) -> None:
        monkeypatch.undo()
        with Tree() as faster:
            scope_directories.establish(faster, shared_state)
        really_rename(tree, path, new)

    monkeypatch.setattr(Tree, "rename", rename)
    with Tree() as tree:
        scope_directories.establish(tree, shared_state)
        assert scope_directories.directories_made(tree, shared_state) == tuple(
            tmp_path / name for name in ("a", "a/b", "a/b/procman")
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_scope_created_meanwhile_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really_look = Tree.has_directory

    def has_directory(tree: Tree, path: Path) -> bool:
        monkeypatch.undo()
        with Tree() as faster:
            scope_directories.establish(faster, tmp_path / "a/procman")
        return False

    monkeypatch.setattr(Tree, "has_directory", has_directory)
    with Tree() as tree:
        scope_directories.establish(tree, tmp_path / "a/procman")
        assert really_look(tree, tmp_path / "a/procman")


def test_concurrent_installs_are_serialised(tmp_path: Path) -> None:
    base = sample.make_host(tmp_path / "host")
    errors: list[BaseException] = []

    def install(name: str) -> None:
        try:
            places = sample.directories(base)
            with hold_lock(places.shared_state, 60, lambda _: None):
                sample.install_locked(base, sample.DESIRED_STATES[name])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=install, args=[name]) for name in ("one", "two") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    sample.install(base, sample.DESIRED_STATES["one"])
    assert sample.plan(base, sample.DESIRED_STATES["one"]).nothing_to_do
