"""The generations of a project: numbered, complete as soon as they have their name, never changed afterwards."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree, finished_name, temporary_name
from procman.install.state import json_records, scope_directories
from procman.install.state.authorship import UNKNOWN, Authorship, read_authorship, write_authorship
from procman.install.state.manifest import Manifest, Pending, ReplacedFile, digest
from procman.model import Activation, Directories
from procman.records import record

KEPT = 10
"""How many generations stay on disk."""

HEALING = "healing.json"
"""The record of past healing in the project's state; healing writes it at any time, without the lock."""

LOOK = "broker-look.json"
"""The watcher's record of the project's brokers; written in the same way."""

_OF_WATCHER = (HEALING, LOOK)

_STEPS = ("unfinished", "activations", "sections", "uninstall", "adoptions", "returned")
"""The fields of the pending record that name work; the others describe it."""

CLOCK_TICK_SECONDS = 0.01
"""The resolution of file times on the coarsest Linux kernels (CONFIG_HZ=100)."""


class Generation(NamedTuple):
    """A numbered manifest."""

    number: int
    manifest: Manifest


@record(frozen=True)
class Installation:
    """Everything that earlier runs left on disk for one project: what a plan compares with."""

    current: Generation | None
    """The installed generation; None before the first install and after an uninstall."""
    latest: Generation | None
    """The one with the highest number; it is not current after an uninstall or an interruption."""
    numbers: tuple[int, ...]
    """The numbers of all generations kept, oldest first."""
    unfinished: tuple[Generation, ...]
    """Generations that an interrupted install may have installed in part, oldest first."""
    pending: Pending | None
    others: tuple[Manifest, ...]
    """The current manifests of the scope's other projects."""
    shared_directories: tuple[Path, ...]
    """Directories that procman created for all projects of the scope."""
    leftovers: tuple[Path, ...]
    """Temporary files of interrupted runs in procman's own directories."""

    @property
    def live(self) -> tuple[Manifest, ...]:
        """Return the manifests whose files may be installed: the unfinished ones, then the current one."""
        return tuple(each.manifest for each in (*self.unfinished, self.current) if each)

    @property
    def replaced(self) -> set[ReplacedFile]:
        """Return the adopted files, including those whose restoration was interrupted."""
        return {file for manifest in self.live for file in manifest.replaced}

    @property
    def past(self) -> tuple[Manifest, ...]:
        """Return the known manifests whose files are or were installed, including the latest one."""
        return (*self.live, self.latest.manifest) if self.latest else self.live


def read_installation(tree: Tree, directories: Directories) -> Installation:
    """Return what earlier runs left for the project whose state is in `directories`. Raises ProcmanError."""
    state = directories.state
    numbers = generation_numbers(tree, state)
    current = latest = current_generation(tree, state)
    if numbers and (current is None or numbers[-1] != current.number):
        latest = read_generation(tree, state, numbers[-1])
    pending = read_pending(tree, state)
    unfinished = pending.unfinished if pending else ()
    return Installation(
        current=current,
        latest=latest,
        numbers=tuple(numbers),
        unfinished=tuple(read_generation(tree, state, number) for number in unfinished if number in numbers),
        pending=pending,
        others=tuple(manifests_of_others(tree, directories)),
        shared_directories=scope_directories.directories_made(tree, directories.shared_state),
        leftovers=(*scope_directories.leftovers(tree, directories.shared_state), *_leftovers(tree, state)),
    )


def generation_numbers(tree: Tree, state: Path) -> list[int]:
    """Return the numbers of the generations kept, oldest first."""
    return sorted(int(name) for name in tree.names(state / "generations") if name.isdecimal())


def current_generation(tree: Tree, state: Path) -> Generation | None:
    """Return the installed generation; None if nothing is installed."""
    target = tree.read_link(state / "current")
    if target is None:
        return None
    number = target.removeprefix("generations/")
    if not number.isdecimal():
        raise ProcmanError(
            f"{state / 'current'} points to {target}, which is not a generation",
            hint=f"ln -sfn generations/N {state / 'current'}, with N the generation that was installed last",
        )
    return read_generation(tree, state, int(number))


def read_generation(tree: Tree, state: Path, number: int) -> Generation:
    """Return one generation. Raises ProcmanError if it is missing or cannot be read."""
    path = _directory(state, number) / "manifest.json"
    content = tree.read_private(path)
    if content is None:
        raise ProcmanError(f"{path} does not exist", hint=json_records.recovery_hint(state))
    return Generation(number, json_records.from_bytes(Manifest, content, path, state))


def store_of(state: Path, number: int) -> Path:
    """Return the directory with the files of a generation, each named by its digest."""
    return _directory(state, number) / "files"


def made_at(state: Path, number: int) -> float:
    """Return when a generation was created, in seconds since the epoch; its files never change afterwards."""
    return (_directory(state, number) / "manifest.json").stat().st_mtime


def origin(generation: Generation) -> int:
    """Return the number of the generation whose content `generation` has: its own, unless a rollback made it."""
    return generation.manifest.brought_back or generation.number


def number_before(generation: Generation, numbers: Collection[int]) -> int | None:
    """Return which of `numbers` a rollback from `generation` goes to; None if there is none.

    A generation that was rolled back from is skipped: two rollbacks in a row go two generations back.
    """
    return max((number for number in numbers if number < origin(generation)), default=None)


def read_configuration(tree: Tree, state: Path, number: int) -> bytes:
    """Return procman.toml as it was for a generation."""
    path = _directory(state, number) / "procman.toml"
    content = tree.read_private(path)
    if content is None:
        raise ProcmanError(f"{path} does not exist", hint="choose another generation")
    return content


def made_by(tree: Tree, state: Path, number: int) -> Authorship:
    """Return who made a generation, and why."""
    return read_authorship(tree, _directory(state, number))


def write_generation(
    tree: Tree,
    state: Path,
    generation: Generation,
    contents: Collection[bytes],
    configuration: bytes,
    made: Authorship = UNKNOWN,
) -> None:
    """Write a complete generation to disk under its number; `contents` are those of its files, in any order."""
    mode = generation.manifest.directory_mode
    for directory in (state, state / "generations"):
        tree.make_directory(directory, mode)
    building = state / "generations" / temporary_name(str(generation.number))
    tree.make_directory(building, mode)
    tree.make_directory(building / "files", 0o700)
    for content in contents:
        tree.write(building / "files" / digest(content), content, 0o600)
    tree.write(building / "procman.toml", configuration, 0o600)
    write_authorship(tree, building, made)
    tree.write(building / "manifest.json", json_records.to_bytes(generation.manifest), 0o644)
    tree.sync()
    tree.rename(building, _directory(state, generation.number))
    tree.sync()


def make_current(tree: Tree, state: Path, number: int) -> None:
    """Record that generation `number` is installed, by a link that is newer than all of its files."""
    if tree.read_link(state / "current") != f"generations/{number}":
        # Without the pause, `differences` could not rule out a change right afterwards and would read every file.
        time.sleep(CLOCK_TICK_SECONDS)
        tree.link(state / "current", f"generations/{number}")
        tree.sync()


def forget_current(tree: Tree, state: Path) -> None:
    """Record that nothing is installed."""
    tree.remove(state / "current")
    tree.sync()


def remove_old_generations(tree: Tree, state: Path, obsolete: Collection[int]) -> None:
    """Remove the `obsolete` generations, and all but the last ten of the others."""
    others = [number for number in generation_numbers(tree, state) if number not in obsolete]
    for number in sorted({*obsolete, *others[:-KEPT]}):
        _discard(tree, _directory(state, number))
    tree.sync()


def remove_all_generations(tree: Tree, state: Path) -> None:
    """Remove every generation."""
    _discard(tree, state / "generations")


def read_pending(tree: Tree, state: Path) -> Pending | None:
    """Return what an earlier run still had to do; None if nothing."""
    path = state / "pending.json"
    content = tree.read_private(path)
    return None if content is None else json_records.from_bytes(Pending, content, path)


def write_pending(tree: Tree, state: Path, pending: Pending) -> None:
    """Record the work still to do, or remove the record if there is none."""
    if any(getattr(pending, name) for name in _STEPS):
        tree.write(state / "pending.json", json_records.to_bytes(pending), 0o644)
    else:
        tree.remove(state / "pending.json")
    tree.sync()


def mark_done(tree: Tree, state: Path, activation: Activation) -> None:
    """Record that `activation`, the only one of its program, was carried out."""
    pending = read_pending(tree, state)
    if pending is not None:
        left = tuple(other for other in pending.activations if other.program.name != activation.program.name)
        write_pending(tree, state, replace(pending, activations=left))


def mark_sections_done(tree: Tree, state: Path) -> None:
    """Record that the process manager has reloaded the files that belong to no single program."""
    pending = read_pending(tree, state)
    if pending is not None and pending.sections:
        write_pending(tree, state, replace(pending, sections=()))


def _discard(tree: Tree, path: Path) -> None:
    # Renamed first, so that an interrupted removal leaves nothing that looks like a generation.
    if tree.has_directory(path):
        doomed = path.with_name(temporary_name(path.name))
        tree.rename(path, doomed)
        tree.remove_tree(doomed)


def _directory(state: Path, number: int) -> Path:
    return state / "generations" / str(number)


def _leftovers(tree: Tree, state: Path) -> list[Path]:
    places = (state, state / "generations", state / "set-aside")
    # Healing may be writing its records right now: their temporary files are no leftovers.
    return [
        place / name
        for place in places
        for name in tree.names(place)
        if finished_name(name) not in (None, *_OF_WATCHER)
    ]


def forget_healing(tree: Tree, state: Path) -> None:
    """Remove the records of the watcher and their temporary files; nothing heals any more."""
    for name in tree.names(state):
        if name in _OF_WATCHER or finished_name(name) in _OF_WATCHER:
            tree.remove(state / name)


def manifests_of_others(tree: Tree, directories: Directories) -> list[Manifest]:
    """Return the current manifests of the scope's other projects."""
    found = []
    for name in scope_directories.installed_projects(tree, directories.shared_state):
        state = directories.shared_state / name
        generation = current_generation(tree, state) if state != directories.state else None
        if generation:
            found.append(generation.manifest)
    return found
