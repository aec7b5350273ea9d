"""Backups of files that an administrator wrote, made before procman changes or removes them: set-aside/TIME/PATH."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from datetime import datetime, timezone
from pathlib import Path

from procman.install.safe_fs.file_info import AS_CREATED, Found
from procman.install.safe_fs.tree import Tree, temporary_name
from procman.install.state.manifest import digest


def keep(tree: Tree, state: Path, files: Collection[tuple[Path, Found]]) -> None:
    """Copy `files`, with owner and mode, unless the same content of a path is already backed up. All or none."""
    missing = [(path, found) for path, found in files if kept(tree, state, path, digest(found.content or b"")) is None]
    if not missing:
        return
    place = state / "set-aside"
    tree.make_directory(place, 0o700)
    name = _free_name(tree.names(place))
    building = place / temporary_name(name)
    for path, found in missing:
        copy = _inside(building, path)
        for directory in reversed(
            [parent for parent in copy.parents if parent == building or building in parent.parents]
        ):
            tree.make_directory(directory, 0o700)
        owner, group = (found.owner, found.group) if os.geteuid() == 0 else (AS_CREATED, AS_CREATED)
        tree.write(copy, found.content or b"", found.mode & 0o777, owner, group)
    tree.sync()
    tree.rename(building, place / name)
    tree.sync()


def kept(tree: Tree, state: Path, path: Path, desired: str) -> Found | None:
    """Return the backup of `path` whose content has the digest `desired`; None if there is none."""
    for name in tree.names(state / "set-aside"):
        found = tree.look(_inside(state / "set-aside" / name, path))
        if found and found.content is not None and digest(found.content) == desired:
            return found
    return None


def copies(tree: Tree, state: Path) -> list[Path]:
    """Return the paths of all backups."""
    return list(_files_below(tree, state / "set-aside"))


def _free_name(taken: Collection[str]) -> str:
    name = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return next(free for free in (name, *(f"{name}-{number}" for number in range(2, 1000))) if free not in taken)


def _inside(directory: Path, path: Path) -> Path:
    return directory / path.relative_to("/")


def _files_below(tree: Tree, directory: Path) -> Iterator[Path]:
    for name in tree.names(directory):
        if tree.has_directory(directory / name):
            yield from _files_below(tree, directory / name)
        else:
            yield directory / name
