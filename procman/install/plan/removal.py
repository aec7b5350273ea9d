"""The way back: the files removed, then the directories, and with `purge` all that procman remembers (R9)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from procman.install.plan.apply import change_files, prepare
from procman.install.plan.plan import Plan, merged
from procman.install.safe_fs.file_info import Found, PathError
from procman.install.safe_fs.tree import Tree
from procman.install.state import backups, event_log, generations, holds, scope_directories
from procman.install.state.generations import Installation
from procman.install.state.manifest import Manifest, Pending, ReplacedFile, digest
from procman.model import Directories


@dataclass(frozen=True)
class Remains:
    """What an uninstall left, to be listed."""

    stays: tuple[Path, ...]
    """Logs, schedules, copies set aside, generations; and what is not procman's in directories it made."""
    restored: tuple[Path, ...]
    """Files of others that had been taken over, and are as they were."""


def remove_files(tree: Tree, plan: Plan) -> None:
    """Carry out a plan of `make_removal`: every file goes, edited ones are set aside. The lock must be held.

    Afterwards the caller carries out `plan.activations` and strikes off each; then it calls `clear`. Once interrupted,
    all of it can be run again.
    """
    state = plan.generation.manifest.directories.state
    prepare(tree, plan)
    pending = Pending(plan.generation.number, plan.unfinished, plan.activations, sections=plan.sections)
    generations.write_pending(tree, state, pending)
    change_files(tree, plan)
    generations.write_pending(tree, state, replace(pending, unfinished=()))


def clear(tree: Tree, directories: Directories, installation: Installation, *, purge: bool) -> Remains:
    """Remove the empty directories procman made, and the record of what is installed; the files must be gone.

    INSTALLATION is as it was before them. With PURGE also logs, copies set aside, generations and the programs' own
    directories; the schedule stays even then, for it is the project's data.
    """
    past = installation.past
    restored = tuple(restore(tree, directories.state, installation.replaced))
    generations.forget_current(tree, directories.state)
    # Of programs that are no more.
    tree.remove_tree(directories.state / holds.DIRECTORY)
    generations.forget_healing(tree, directories.state)
    if purge:
        own = (directories.state / "run", directories.state / "set-aside")
        for path in (*installation.leftovers, *_logs(tree, directories.state, past), *own):
            tree.remove_tree(path)
    scope_directories.remove_directories(tree, merged(*(manifest.directories_made for manifest in past)))
    if purge:
        generations.remove_all_generations(tree, directories.state)
        tree.remove(directories.state / "pending.json")
        tree.remove_directory(directories.state)
    scope_directories.remove_directories(tree, set(installation.shared_directories) - _needed(installation.others))
    stays = tuple(_stays(tree, directories, past))
    tree.sync()
    if purge:
        scope_directories.dissolve(tree, directories.shared_state)
    return Remains(stays, restored)


def restore(tree: Tree, state: Path, replaced: Collection[ReplacedFile]) -> Iterator[Path]:
    """Bring back what was taken over from others, where nobody has changed what was left of it; yield what was."""
    for path, copy in restorable(tree, state, replaced).items():
        tree.write(path, copy.content or b"", copy.mode, copy.owner, copy.group)
        yield path
    tree.sync()


def restorable(tree: Tree, state: Path, replaced: Collection[ReplacedFile]) -> dict[Path, Found]:
    """Return what was taken over from others, as it was, where nobody has changed what was left of it."""
    copies = {
        file.path: backups.kept(tree, state, file.path, file.digest)
        for file in sorted(replaced, key=lambda file: file.path)
        if _as_left(tree, file)
    }
    return {path: copy for path, copy in copies.items() if copy}


def _as_left(tree: Tree, file: ReplacedFile) -> bool:
    found = tree.look(file.path)
    if found is None or found.content is None:
        return found is None and file.left is None
    return digest(found.content) == file.left


def _needed(others: Iterable[Manifest]) -> set[Path]:
    """Return every directory that the scope's other projects use."""
    used = {directory.path for other in others for directory in other.rendered_directories}
    used |= {file.path.parent for other in others for file in other.files}
    return used | {parent for path in used for parent in path.parents}


def _logs(tree: Tree, state: Path, past: Iterable[Manifest]) -> list[Path]:
    """Return the logs there are, that of events and rotated ones included."""
    places = (*merged(*(manifest.log_files for manifest in past)), state / event_log.NAME)
    return [found for path in places for found in _rotated(tree, path)]


def _rotated(tree: Tree, path: Path) -> list[Path]:
    try:
        return _beside(tree, path, r"\.\d+")
    except PathError:
        # Somebody has given its directory away since: procman does not look into that as root, and leaves it.
        return []


def _stays(tree: Tree, directories: Directories, past: Collection[Manifest]) -> Iterator[Path]:
    yield from _logs(tree, directories.state, past)
    for path in merged(*(manifest.schedule_files for manifest in past)):
        try:
            # dbm adds .db, or .dat, .dir and .bak.
            yield from _beside(tree, path, r"\..+")
        except PathError:
            # Its directory is the service user's: procman does not look into that as root.
            yield path
    yield from backups.copies(tree, directories.state)
    places = (directories.state / "generations", *merged(*(manifest.directories_made for manifest in past)))
    yield from (path for path in places if tree.has_directory(path))


def _beside(tree: Tree, path: Path, suffix: str) -> list[Path]:
    own = re.compile(re.escape(path.name) + f"({suffix})?")
    return [path.parent / name for name in tree.names(path.parent) if own.fullmatch(name)]
