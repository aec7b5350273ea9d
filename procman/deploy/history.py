"""`procman history`: the generations that are kept, and what each one changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from procman.install.safe_fs.tree import Tree
from procman.install.state.authorship import Authorship
from procman.install.state.generations import (
    Generation,
    current_generation,
    generation_numbers,
    made_at,
    made_by,
    read_generation,
)
from procman.install.state.manifest import Manifest
from procman.lookup import Installed
from procman.model import InstalledProgram


@dataclass(frozen=True)
class Entry:
    """One generation, compared with the kept one before it."""

    generation: Generation
    at: float
    """When it was created, in seconds since the epoch."""
    made: Authorship
    is_current: bool
    changes: tuple[str, ...] | None
    """In plain words; None for the oldest kept generation, which has nothing to compare with."""


def history(installed: Installed) -> list[Entry]:
    """Return the generations that are kept, oldest first, even if the project was uninstalled."""
    state = installed.manifest.directories.state
    entries: list[Entry] = []
    before: Manifest | None = None
    with Tree() as tree:
        current = current_generation(tree, state)
        for number in generation_numbers(tree, state):
            generation = current if current and current.number == number else read_generation(tree, state, number)
            changes = tuple(_changes(before, generation.manifest)) if before else None
            made = made_by(tree, state, number)
            entries.append(Entry(generation, made_at(state, number), made, generation is current, changes))
            before = generation.manifest
    return entries


def _changes(before: Manifest, after: Manifest) -> Iterator[str]:
    """Yield the changes in plain words, for someone who is looking for the one that broke something."""
    for what, old, new in (
        ("procman", before.procman, after.procman),
        ("backend", before.backend.value, after.backend.value),
        ("user", before.user or "the caller", after.user or "the caller"),
    ):
        if old != new:
            yield f"{what} {old} -> {new}"
    programs = {program.name: _seen(before, program) for program in before.programs}
    now = {program.name: _seen(after, program) for program in after.programs}
    yield from (f"+ {name}" for name in now if name not in programs)
    yield from (f"- {name}" for name in programs if name not in now)
    yield from (f"~ {name}" for name in now if name in programs and programs[name] != now[name])
    files, files_now = _files(before), _files(after)
    yield from (f"~ {path}" for path in sorted(files_now.keys() & files.keys()) if files[path] != files_now[path])


def _seen(manifest: Manifest, program: InstalledProgram) -> tuple[object, ...]:
    """Return everything that a change of `program` shows in: its record and the digests of its files."""
    files = sorted((file.path.name, file.digest) for file in manifest.files if file.programs == (program.name,))
    return replace(program, left_stopped=False, user=None, log_file=None), *files


def _files(manifest: Manifest) -> dict[Path, str]:
    """Return the files that belong to no single program, such as the launcher."""
    programs = {(program.name,) for program in manifest.programs}
    return {file.path: file.digest for file in manifest.files if file.programs not in programs}
