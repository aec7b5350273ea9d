"""What all projects of a scope share: the state directory, and the record of the directories created for all."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from procman.install.safe_fs.file_info import PathError
from procman.install.safe_fs.tree import Tree, finished_name, temporary_name
from procman.install.state import json_records
from procman.records import record

LOCK = "lock"
_RECORD = "directories.json"


@record(frozen=True)
class _Made:
    directories: tuple[Path, ...]


def installed_projects(tree: Tree, shared_state: Path) -> list[str]:
    """Return the names of the projects installed in the scope: those whose state directory has a `current` link."""
    return [
        name
        for name in tree.names(shared_state)
        if not name.startswith(".")
        and tree.has_directory(shared_state / name)
        and _has_current(tree, shared_state / name)
    ]


def directories_made(tree: Tree, shared_state: Path) -> tuple[Path, ...]:
    """Return the directories that procman created and that belong to no project alone."""
    path = shared_state / _RECORD
    content = tree.read_private(path)
    return () if content is None else json_records.from_bytes(_Made, content, path).directories


def record_directories(tree: Tree, shared_state: Path, directories: Collection[Path]) -> None:
    """Add `directories` to the record; call this before creating them."""
    before = directories_made(tree, shared_state)
    if not set(directories) <= set(before):
        _write_record(tree, shared_state, {*before, *directories})
        tree.sync()


def establish(tree: Tree, shared_state: Path) -> None:
    """Create the directory `shared_state`, its missing parents, and the record of having created them.

    One rename creates all of it, so that a kill at any moment leaves no unrecorded directory.
    """
    if tree.has_directory(shared_state):
        return
    missing = [path for path in _chain(shared_state) if not tree.has_directory(path)]
    if not missing:
        # Another process has just created them.
        return
    top = missing[-1]
    building = top.with_name(temporary_name(top.name))
    mode = 0o755 if os.geteuid() == 0 else 0o700
    try:
        for path in reversed(missing):
            tree.make_directory(building / path.relative_to(top), mode)
        _write_record(tree, building / shared_state.relative_to(top), {*missing, *_half_dissolved(tree, shared_state)})
        tree.sync()
        tree.rename(building, top)
        tree.sync()
    except PathError:
        # Another process may have created it first, and removed this as a leftover of an interrupted run.
        tree.remove_tree(building)
        if not tree.has_directory(shared_state):
            raise


def dissolve(tree: Tree, shared_state: Path) -> None:
    """Remove `shared_state` and the directories created for it, unless it still contains anything else.

    The content of the shared directories below it, such as the log of procman's supervisord, is removed, too. So is the
    lock: from then on another procman command may be running here.
    """
    made = set(directories_made(tree, shared_state))
    below = {path for path in made if path.parent == shared_state}
    own = [*sorted(below), shared_state / _RECORD, shared_state / LOCK]
    if not {shared_state / name for name in tree.names(shared_state)} <= set(own):
        return
    if shared_state in made:
        _bury(tree, shared_state, made)
    else:
        remove_directories(tree, made - below)
        for path in own:
            tree.remove_tree(path)
    tree.sync()


def _bury(tree: Tree, shared_state: Path, made: set[Path]) -> None:
    """Remove `shared_state`, renaming it first so that its record exists until the directories above it are gone."""
    top = min(made.intersection(_chain(shared_state)), key=_depth)
    grave = top.with_name(temporary_name(top.name))
    tree.rename(shared_state, grave)
    tree.sync()
    remove_directories(tree, made)
    for name in tree.names(grave):
        if name != _RECORD:
            tree.remove_tree(grave / name)
    tree.remove_tree(grave)


def remove_directories(tree: Tree, paths: Collection[Path]) -> None:
    """Remove the directories of `paths` that are empty, or become empty when those below them are removed."""
    for path in sorted(paths, key=_depth, reverse=True):
        tree.remove_directory(path)


def leftovers(tree: Tree, shared_state: Path) -> list[Path]:
    """Return the temporary files of interrupted runs beside `shared_state`, its created parents and the record."""
    made = directories_made(tree, shared_state)
    own = [shared_state / _RECORD, *(path for path in _chain(shared_state) if path in made)]
    return [found for path in own for found in _temporaries(tree, path)]


def _has_current(tree: Tree, state: Path) -> bool:
    try:
        return tree.read_link(state / "current") is not None
    except PathError:
        # Not created by procman.
        return False


def _half_dissolved(tree: Tree, shared_state: Path) -> set[Path]:
    """Return the directories that an interrupted `dissolve` still had to remove."""
    made: set[Path] = set()
    for path in _chain(shared_state):
        with suppress(PathError):
            # In a directory that the caller cannot read, the caller has created nothing.
            for place in _temporaries(tree, path):
                made |= set(directories_made(tree, place))
    return made


def _temporaries(tree: Tree, path: Path) -> list[Path]:
    return [path.parent / name for name in tree.names(path.parent) if finished_name(name) == path.name]


def _chain(shared_state: Path) -> list[Path]:
    return [shared_state, *shared_state.parents]


def _depth(path: Path) -> int:
    return len(path.parts)


def _write_record(tree: Tree, shared_state: Path, directories: Collection[Path]) -> None:
    tree.write(shared_state / _RECORD, json_records.to_bytes(_Made(tuple(sorted(directories)))), 0o644)
