"""What all projects of a scope share: the directory of their state, and the record of the directories made for all."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from procman.install import records
from procman.install.found import PathError
from procman.install.paths import Tree, finished_name, temporary_name

LOCK = "lock"
_RECORD = "directories.json"
_OWN = (_RECORD, LOCK)


@dataclass(frozen=True)
class _Made:
    directories: tuple[Path, ...]


def installed_projects(tree: Tree, shared_state: Path) -> list[str]:
    """Return the names of the projects that are installed in the scope: those whose state has a `current`."""
    return [
        name
        for name in tree.names(shared_state)
        if not name.startswith(".")
        and tree.has_directory(shared_state / name)
        and _has_current(tree, shared_state / name)
    ]


def directories_made(tree: Tree, shared_state: Path) -> tuple[Path, ...]:
    """Return the directories that did not exist before procman and belong to no project alone."""
    path = shared_state / _RECORD
    content = tree.read_private(path)
    return () if content is None else records.from_bytes(_Made, content, path).directories


def record_directories(tree: Tree, shared_state: Path, directories: Collection[Path]) -> None:
    """Add DIRECTORIES to those made; to be done before they are."""
    before = directories_made(tree, shared_state)
    if not set(directories) <= set(before):
        _write_record(tree, shared_state, {*before, *directories})
        tree.sync()


def establish(tree: Tree, shared_state: Path) -> None:
    """Make the directory SHARED_STATE, with those above it that are missing, and the record of having made them.

    All of it comes into being by one rename: whatever kills this, no directory is left that nobody knows of.
    """
    if tree.has_directory(shared_state):
        return
    missing = [path for path in (shared_state, *shared_state.parents) if not tree.has_directory(path)]
    top = missing[-1]
    building = top.with_name(temporary_name(top.name))
    mode = 0o755 if os.geteuid() == 0 else 0o700
    try:
        for path in reversed(missing):
            tree.make_directory(building / path.relative_to(top), mode)
        _write_record(tree, building / shared_state.relative_to(top), missing)
        tree.sync()
        tree.rename(building, top.name)
        tree.sync()
    except PathError:
        # Somebody may have been faster, and may have swept this away with what interrupted runs had left.
        tree.remove_tree(building)
        if not tree.has_directory(shared_state):
            raise


def leftovers(tree: Tree, shared_state: Path) -> list[Path]:
    """Return what interrupted runs left of `establish` and of the record."""
    chain = {shared_state, *shared_state.parents}
    made = [path for path in directories_made(tree, shared_state) if path in chain]
    return [
        path.parent / name
        for path in (shared_state / _RECORD, *made)
        for name in tree.names(path.parent)
        if finished_name(name) == path.name
    ]


def dissolve(tree: Tree, shared_state: Path) -> None:
    """Remove SHARED_STATE and the directories made for it, unless a project or somebody else still has something in it.

    What other shared directories below it hold is procman's own, such as the log of its supervisord, and goes too.
    """
    made = directories_made(tree, shared_state)
    below = {path for path in made if path.parent == shared_state}
    if not {shared_state / name for name in tree.names(shared_state)} <= {shared_state / name for name in _OWN} | below:
        return
    for path in below:
        tree.remove_tree(path)
    # The lock last: from then on somebody else may be at work here, and what is not empty stays.
    for name in _OWN:
        tree.remove(shared_state / name)
    for path in sorted(made, key=lambda path: len(path.parts), reverse=True):
        tree.remove_directory(path)


def _has_current(tree: Tree, state: Path) -> bool:
    try:
        return tree.read_link(state / "current") is not None
    except PathError:
        # Not ours, whoever has put it there.
        return False


def _write_record(tree: Tree, shared_state: Path, directories: Collection[Path]) -> None:
    tree.write(shared_state / _RECORD, records.to_bytes(_Made(tuple(sorted(directories)))), 0o644)
