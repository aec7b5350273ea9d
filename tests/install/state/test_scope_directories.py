"""The directory that all projects of a scope share is created and removed as a whole, even after interruptions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from procman.install.safe_fs.tree import Tree
from procman.install.state import scope_directories
from tests.install.people import NOBODY, as_nobody, needs_root
from tests.install.snapshot import contents

CHANGING = ("make_directory", "write", "rename", "remove", "remove_directory", "remove_tree", "sync")


class _Killed(BaseException):
    """Represents a kill: the code under test must not handle it."""


def test_created_directories_are_recorded(tmp_path: Path, tree: Tree) -> None:
    scope_directories.establish(tree, tmp_path / "a/b/procman")
    assert scope_directories.directories_made(tree, tmp_path / "a/b/procman") == _below(
        tmp_path, "a", "a/b", "a/b/procman"
    )
    scope_directories.record_directories(tree, tmp_path / "a/b/procman", [tmp_path / "etc"])
    assert tmp_path / "etc" in scope_directories.directories_made(tree, tmp_path / "a/b/procman")


def test_existing_directory_is_not_recorded_and_stays(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "a/procman").mkdir(parents=True)
    scope_directories.establish(tree, tmp_path / "a/procman")
    (tmp_path / "a/procman/lock").touch()
    scope_directories.dissolve(tree, tmp_path / "a/procman")
    assert list(contents(tmp_path)) == ["a", "a/procman"]


def test_scope_with_a_project_is_not_removed(tmp_path: Path, tree: Tree) -> None:
    scope_directories.establish(tree, tmp_path / "procman")
    (tmp_path / "procman/catmaid").mkdir()
    scope_directories.dissolve(tree, tmp_path / "procman")
    assert (tmp_path / "procman/directories.json").exists()


def test_parent_directories_in_use_stay(tmp_path: Path, tree: Tree) -> None:
    scope_directories.establish(tree, tmp_path / "a/b/procman")
    (tmp_path / "a/other").touch()
    scope_directories.dissolve(tree, tmp_path / "a/b/procman")
    assert list(contents(tmp_path)) == ["a", "a/other"]


@pytest.mark.parametrize("before", ["", "a", "a/b", "a/b/procman"])
def test_next_run_removes_scope_after_any_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    shared_state = tmp_path / "host/a/b/procman"
    (tmp_path / "host" / before).mkdir(parents=True)
    expected = contents(tmp_path)

    def come_and_go() -> None:
        with Tree() as tree:
            scope_directories.establish(tree, shared_state)
            scope_directories.record_directories(
                tree, shared_state, [tmp_path / "host/etc", shared_state / "supervisor"]
            )
            for path in (tmp_path / "host/etc", shared_state / "supervisor"):
                tree.make_directory(path, 0o755)
            (shared_state / "lock").touch()
            for path in scope_directories.leftovers(tree, shared_state):
                tree.remove_tree(path)
            scope_directories.dissolve(tree, shared_state)

    for number in itertools.count():
        with _killed_at(monkeypatch, number) as was_killed:
            come_and_go()
        come_and_go()
        assert contents(tmp_path) == expected, f"after a kill at change {number}"
        if not was_killed():
            break
    assert number > 5


@needs_root
def test_record_planted_by_user_is_not_trusted(public: Path, tree: Tree) -> None:
    public.chmod(0o1777)
    planted = public / ".procman.procman-0123456789abcdef"

    def plant() -> None:
        planted.mkdir()
        (planted / "directories.json").write_text('{"format": 1, "directories": ["/etc"]}')

    as_nobody(plant)
    scope_directories.establish(tree, public / "procman")
    assert scope_directories.directories_made(tree, public / "procman") == (public / "procman",)
    assert planted.stat().st_uid == NOBODY.pw_uid


def _below(base: Path, *names: str) -> tuple[Path, ...]:
    return tuple(base / name for name in names)


@contextmanager
def _killed_at(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[Callable[[], bool]]:
    """Run the block until it is about to make change `number`; yield a function that reports whether it got there."""
    counter = itertools.count()
    reached: list[int] = []

    def counting(really: Callable[..., object]) -> Callable[..., object]:
        def change(*arguments: object) -> object:
            if next(counter) == number:
                reached.append(number)
                raise _Killed
            return really(*arguments)

        return change

    with monkeypatch.context() as patched:
        for name in CHANGING:
            patched.setattr(Tree, name, counting(getattr(Tree, name)))
        with suppress(_Killed):
            yield lambda: bool(reached)
