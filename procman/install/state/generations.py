"""The generations of a project: numbered, complete from the moment they have their name, never changed afterwards."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree, finished_name, temporary_name
from procman.install.state import json_records, scope_directories
from procman.install.state.manifest import Manifest, Pending, ReplacedFile, digest
from procman.model import Activation, Directories

KEPT = 10
"""How many generations stay on disk."""

HEALING = "healing.json"
"""What healing remembers of the programs, in the project's state; it writes that at any time, without the lock."""

CLOCK_TICK_SECONDS = 0.01
"""By which the times of files go on, at the coarsest that Linux is built (CONFIG_HZ=100)."""


class Generation(NamedTuple):
    """A numbered manifest."""

    number: int
    manifest: Manifest


@dataclass(frozen=True)
class Installation:
    """All that earlier runs left behind of one project: what a plan compares with."""

    current: Generation | None
    """What is installed; None before the first install, and after an uninstall."""
    latest: Generation | None
    """The highest number; not current after an uninstall or an interruption."""
    numbers: tuple[int, ...]
    """Of all generations kept, oldest first."""
    unfinished: tuple[Generation, ...]
    """Those that an interrupted install may have put in place in part, oldest first."""
    pending: Pending | None
    others: tuple[Manifest, ...]
    """What is installed of the other projects of the scope."""
    shared_directories: tuple[Path, ...]
    """Those that procman made for all projects of the scope."""
    leftovers: tuple[Path, ...]
    """Temporary files of interrupted runs in procman's own directories."""

    @property
    def live(self) -> tuple[Manifest, ...]:
        """Return the manifests of all that may be in place: of what is unfinished, and last of what is current."""
        return tuple(each.manifest for each in (*self.unfinished, self.current) if each)

    @property
    def replaced(self) -> set[ReplacedFile]:
        """Return the files of others that were taken over, or were being given back at an interruption."""
        return {file for manifest in self.live for file in manifest.replaced}

    @property
    def past(self) -> tuple[Manifest, ...]:
        """Return the manifests of all that has been in place, as far as is known: the latest is among them."""
        return (*self.live, self.latest.manifest) if self.latest else self.live


def read_installation(tree: Tree, directories: Directories) -> Installation:
    """Return what is on disk of the project that has its state in DIRECTORIES. Raises ProcmanError."""
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
    """Return what is installed; None if nothing is."""
    target = tree.read_link(state / "current")
    if target is None:
        return None
    number = target.removeprefix("generations/")
    if not number.isdecimal():
        raise ProcmanError(f"{state / 'current'} points to {target}", hint="it must say generations/NUMBER")
    return read_generation(tree, state, int(number))


def read_generation(tree: Tree, state: Path, number: int) -> Generation:
    """Return one generation. Raises ProcmanError if it is not there or cannot be read."""
    path = _directory(state, number) / "manifest.json"
    content = tree.read_private(path)
    if content is None:
        raise ProcmanError(f"{path} does not exist", hint=f"procman history shows the generations in {path.parent}")
    return Generation(number, json_records.from_bytes(Manifest, content, path))


def store_of(state: Path, number: int) -> Path:
    """Return where the files of a generation are kept, each under its digest."""
    return _directory(state, number) / "files"


def made_at(state: Path, number: int) -> float:
    """Return when a generation was made, in seconds since the epoch: nothing of it is ever changed afterwards."""
    return (_directory(state, number) / "manifest.json").stat().st_mtime


def origin(generation: Generation) -> int:
    """Return the generation whose content GENERATION has: its own number, unless a roll-back made it."""
    return generation.manifest.brought_back or generation.number


def number_before(generation: Generation, numbers: Collection[int]) -> int | None:
    """Return which of NUMBERS a roll-back from GENERATION means; None if there is none.

    What was rolled back from is never meant again: two roll-backs in a row go two generations back.
    """
    return max((number for number in numbers if number < origin(generation)), default=None)


def read_configuration(tree: Tree, state: Path, number: int) -> bytes:
    """Return procman.toml as it was for a generation."""
    path = _directory(state, number) / "procman.toml"
    content = tree.read_private(path)
    if content is None:
        raise ProcmanError(f"{path} does not exist", hint="choose another generation")
    return content


def write_generation(
    tree: Tree, state: Path, generation: Generation, contents: Collection[bytes], configuration: bytes
) -> None:
    """Put a generation on disk, complete, under its number; CONTENTS are those of its files, in any order."""
    mode = generation.manifest.directory_mode
    for directory in (state, state / "generations"):
        tree.make_directory(directory, mode)
    building = state / "generations" / temporary_name(str(generation.number))
    tree.make_directory(building, mode)
    tree.make_directory(building / "files", 0o700)
    for content in contents:
        tree.write(building / "files" / digest(content), content, 0o600)
    tree.write(building / "procman.toml", configuration, 0o600)
    tree.write(building / "manifest.json", json_records.to_bytes(generation.manifest), 0o644)
    tree.sync()
    tree.rename(building, _directory(state, generation.number))
    tree.sync()


def make_current(tree: Tree, state: Path, number: int) -> None:
    """Say that generation NUMBER is what is installed: a link that is younger than all files of it."""
    if tree.read_link(state / "current") != f"generations/{number}":
        # Else `differences` could not tell them from what was changed right afterwards, and would read them every time.
        time.sleep(CLOCK_TICK_SECONDS)
        tree.link(state / "current", f"generations/{number}")
        tree.sync()


def forget_current(tree: Tree, state: Path) -> None:
    """Say that nothing is installed."""
    tree.remove(state / "current")
    tree.sync()


def remove_old_generations(tree: Tree, state: Path, obsolete: Collection[int]) -> None:
    """Remove the OBSOLETE generations, and all but the last ten of the others."""
    others = [number for number in generation_numbers(tree, state) if number not in obsolete]
    for number in sorted({*obsolete, *others[:-KEPT]}):
        _discard(tree, _directory(state, number))
    tree.sync()


def remove_all_generations(tree: Tree, state: Path) -> None:
    """Remove every generation."""
    _discard(tree, state / "generations")


def read_pending(tree: Tree, state: Path) -> Pending | None:
    """Return what an earlier run left to do; None if nothing."""
    path = state / "pending.json"
    content = tree.read_private(path)
    return None if content is None else json_records.from_bytes(Pending, content, path)


def write_pending(tree: Tree, state: Path, pending: Pending) -> None:
    """Record what is left to do; nothing left removes the record."""
    if pending.unfinished or pending.activations or pending.sections:
        tree.write(state / "pending.json", json_records.to_bytes(pending), 0o644)
    else:
        tree.remove(state / "pending.json")
    tree.sync()


def mark_done(tree: Tree, state: Path, activation: Activation) -> None:
    """Record that ACTIVATION was carried out; its program has no other."""
    pending = read_pending(tree, state)
    if pending is not None:
        left = tuple(other for other in pending.activations if other.program.name != activation.program.name)
        write_pending(tree, state, replace(pending, activations=left))


def mark_sections_done(tree: Tree, state: Path) -> None:
    """Record that the process manager follows the files that concern no single program."""
    pending = read_pending(tree, state)
    if pending is not None and pending.sections:
        write_pending(tree, state, replace(pending, sections=()))


def _discard(tree: Tree, path: Path) -> None:
    # Renamed first: what is left of it after an interruption must not pass for a generation.
    if tree.has_directory(path):
        doomed = path.with_name(temporary_name(path.name))
        tree.rename(path, doomed)
        tree.remove_tree(doomed)


def _directory(state: Path, number: int) -> Path:
    return state / "generations" / str(number)


def _leftovers(tree: Tree, state: Path) -> list[Path]:
    places = (state, state / "generations", state / "set-aside")
    # What healing is just writing has not been left by anybody.
    return [
        place / name for place in places for name in tree.names(place) if finished_name(name) not in (None, HEALING)
    ]


def forget_healing(tree: Tree, state: Path) -> None:
    """Remove what healing remembers, and what it may not have written to the end; nothing heals any more."""
    for name in tree.names(state):
        if HEALING in (name, finished_name(name)):
            tree.remove(state / name)


def manifests_of_others(tree: Tree, directories: Directories) -> list[Manifest]:
    """Return what is installed of the other projects of the scope."""
    found = []
    for name in scope_directories.installed_projects(tree, directories.shared_state):
        state = directories.shared_state / name
        generation = current_generation(tree, state) if state != directories.state else None
        if generation:
            found.append(generation.manifest)
    return found
