"""Removes the files, then the directories, and with `purge` everything that procman recorded (R9)."""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from procman.install.plan.apply import change_files, prepare
from procman.install.plan.plan import Plan, merged
from procman.install.safe_fs.file_info import Found, PathError
from procman.install.safe_fs.tree import Tree
from procman.install.state import backups, desired_states, event_log, generations, holds, orders, scope_directories
from procman.install.state.generations import Installation
from procman.install.state.manifest import Manifest, Pending, ReplacedFile, digest
from procman.model import Directories

MASK = "/dev/null"
"""The target of the link in the place of a unit's file, if a package defines the unit as well."""


@dataclass(frozen=True)
class Remains:
    """What an uninstall left on disk."""

    stays: tuple[Path, ...]
    """Logs, schedules, backups, generations; and directories that procman created but others have files in."""
    restored: tuple[Path, ...]
    """Files that had been adopted, and are as they were before."""


def remove_files(tree: Tree, plan: Plan) -> None:
    """Carry out a plan of `make_removal`: remove every file, after backing up edited ones. The lock must be held.

    The caller then carries out `plan.activations`, records each, and calls `clear`. After an interruption, all of it
    can be run again.
    """
    state = plan.generation.manifest.directories.state
    prepare(tree, plan)
    pending = Pending(
        plan.generation.number,
        plan.unfinished,
        plan.activations,
        sections=plan.sections,
        uninstall=True,
        returned=plan.returned,
    )
    generations.write_pending(tree, state, pending)
    change_files(tree, plan)
    generations.write_pending(tree, state, replace(pending, unfinished=()))


def clear(tree: Tree, directories: Directories, installation: Installation, *, purge: bool) -> Remains:
    """Remove the empty directories that procman created, and the link `current`; the files must be gone.

    `installation` is what was read before the files were removed. `purge` also removes logs, backups, generations and
    the programs' own directories, but never the schedule, because it is the project's data, nor a log outside procman's
    directories, because `stdout` may name any path.
    """
    past = installation.past
    restored = tuple(restore(tree, directories.state, installation.replaced))
    generations.forget_current(tree, directories.state)
    tree.remove(directories.state / "pending.json")
    # Their programs no longer exist.
    tree.remove_tree(directories.state / holds.DIRECTORY)
    tree.remove_tree(directories.state / orders.DIRECTORY)
    tree.remove_tree(directories.state / desired_states.DIRECTORY)
    generations.forget_healing(tree, directories.state)
    if purge:
        own = (directories.state / "run", directories.state / "set-aside")
        for path in (*installation.leftovers, *_own_logs(tree, directories, past), *own):
            tree.remove_tree(path)
    scope_directories.remove_directories(tree, merged(*(manifest.directories_made for manifest in past)))
    if purge:
        generations.remove_all_generations(tree, directories.state)
        tree.remove_directory(directories.state)
    scope_directories.remove_directories(tree, set(installation.shared_directories) - _needed(installation.others))
    stays = tuple(_stays(tree, directories, past))
    tree.sync()
    if purge:
        scope_directories.dissolve(tree, directories.shared_state)
    return Remains(stays, restored)


def restore(tree: Tree, state: Path, replaced: Collection[ReplacedFile]) -> Iterator[Path]:
    """Restore adopted files whose remainder has not been changed since; yield their paths."""
    for path, copy in restorable(tree, state, replaced).items():
        tree.write(path, copy.content or b"", copy.mode, copy.owner, copy.group)
        yield path
    tree.sync()


def restorable(tree: Tree, state: Path, replaced: Collection[ReplacedFile]) -> dict[Path, Found]:
    """Return the backups of adopted files whose remainder has not been changed since."""
    copies = {
        file.path: backups.kept(tree, state, file.path, file.digest)
        for file in sorted(replaced, key=lambda file: file.path)
        if _as_left(tree, file)
    }
    return {path: copy for path, copy in copies.items() if copy}


def adopted_later(installation: Installation, desired: Manifest) -> list[ReplacedFile]:
    """Return the files that were adopted, or adopted from again, after the generation `desired`, as they were then."""
    then = {file.path: file.left for file in desired.replaced}
    later = installation.replaced - {*desired.replaced}
    return [replace(file, digest=then.get(file.path) or file.digest) for file in later]


def _as_left(tree: Tree, file: ReplacedFile) -> bool:
    found = tree.look(file.path)
    if found is None or found.content is None:
        return file.left is None and (found is None or _is_mask(tree, file.path, found))
    return digest(found.content) == file.left


def _is_mask(tree: Tree, path: Path, found: Found) -> bool:
    return stat.S_ISLNK(found.kind) and tree.read_link(path) == MASK


def _needed(others: Iterable[Manifest]) -> set[Path]:
    """Return every directory that the scope's other projects use."""
    used = {directory.path for other in others for directory in other.rendered_directories}
    used |= {file.path.parent for other in others for file in other.files}
    return used | {parent for path in used for parent in path.parents}


def _logs(tree: Tree, state: Path, past: Iterable[Manifest]) -> list[Path]:
    """Return the existing logs, including the event log and rotated ones."""
    places = (*merged(*(manifest.log_files for manifest in past)), state / event_log.NAME)
    return [found for path in places for found in _rotated(tree, path)]


def _own_logs(tree: Tree, directories: Directories, past: Iterable[Manifest]) -> list[Path]:
    places = (directories.logs, directories.state)
    return [each for each in _logs(tree, directories.state, past) if any(place in each.parents for place in places)]


def _rotated(tree: Tree, path: Path) -> list[Path]:
    try:
        return _beside(tree, path, r"\.\d+")
    except PathError:
        # The directory has been given to another user since: as root, procman does not list it.
        return []


def _stays(tree: Tree, directories: Directories, past: Collection[Manifest]) -> Iterator[Path]:
    yield from _logs(tree, directories.state, past)
    for path in merged(*(manifest.schedule_files for manifest in past)):
        try:
            # dbm adds .db, or .dat, .dir and .bak.
            yield from _beside(tree, path, r"\..+")
        except PathError:
            # The directory is the service user's: as root, procman does not list it.
            yield path
    yield from backups.copies(tree, directories.state)
    places = (directories.state / "generations", *merged(*(manifest.directories_made for manifest in past)))
    yield from (path for path in places if tree.has_directory(path))


def _beside(tree: Tree, path: Path, suffix: str) -> list[Path]:
    own = re.compile(re.escape(path.name) + f"({suffix})?")
    return [path.parent / name for name in tree.names(path.parent) if own.fullmatch(name)]
