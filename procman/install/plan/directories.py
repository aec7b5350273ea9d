"""Which directories a plan creates, and which get another owner; a bad path becomes a problem of the plan."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from procman.install.plan.changes import Disk
from procman.install.safe_fs.file_info import PathError, identify
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, RenderedDirectory, Scope
from procman.project import Rendering

ROOT = "root"
"""The owner of directories in which a process manager opens files by name as root."""


def to_make(rendering: Rendering, desired: Manifest, disk: Disk, problems: list[str]) -> tuple[RenderedDirectory, ...]:
    """Return the rendered directories that do not exist, and missing parents of theirs and of the files."""
    rendered = {directory.path: directory for directory in rendering.directories}
    missing: dict[Path, RenderedDirectory] = {}
    exists = {Path("/")}

    def visit(path: Path) -> None:
        if path in exists or path in missing:
            return
        visit(path.parent)
        if path.parent in exists and disk.has_directory(path):
            exists.add(path)
            return
        if path.parent in exists and (found := disk.look(path)):
            raise PathError(f"{path} is {found.noun}, but procman needs a directory there", hint="move it away")
        directory = rendered.get(path) or RenderedDirectory(path, desired.directory_mode, None, None, shared=True)
        identify(directory.owner, directory.group)
        missing[path] = directory

    for path in (*rendered, *(file.path.parent for file in rendering.files)):
        with collecting(problems):
            visit(path)
    return tuple(missing.values())


def check_private(rendering: Rendering, disk: Disk, problems: list[str]) -> None:
    """Check that existing directories which must be root's can be written by root alone."""
    for directory in rendering.directories:
        if directory.owner == ROOT:
            with collecting(problems):
                disk.check_private(directory.path)


def check_logs(rendering: Rendering, desired: Manifest, disk: Disk, problems: list[str]) -> None:
    """Check the directories of logs that are not procman's own: they exist, and where root opens logs only root writes.

    A link that another user plants there would let that user append to any file, as root.
    """
    own = {directory.path: directory.owner for directory in rendering.directories}
    for program in desired.programs:
        for directory in {Path(file).parent for file in program.log_files}:
            with collecting(problems):
                if directory in own:
                    _check_owner(directory, own[directory], program)
                    continue
                if not disk.has_directory(directory):
                    raise PathError(
                        f"{program.key}: the directory {directory} of its log does not exist",
                        hint=f"install -d {directory}",
                    )
                if desired.scope is Scope.SYSTEM:
                    disk.check_private(directory)


def _check_owner(directory: Path, owner: str | None, program: InstalledProgram) -> None:
    """Raise PathError if `directory`, one of procman's own, belongs to the user of a program."""
    if owner not in (ROOT, None):
        raise PathError(
            f"{program.key}: its log would be in {directory}, which belongs to {owner}: "
            f"with a link there, {owner} could append to any file as root",
            hint="name a file in a directory of root",
        )


def to_hand_over(
    rendering: Rendering, desired: Manifest, disk: Disk, problems: list[str]
) -> tuple[RenderedDirectory, ...]:
    """Return the programs' directories that belong to another user, in which the launcher could not open its lock."""
    found = []
    for directory in rendering.directories:
        if directory.path.parent == desired.directories.state / "run" and directory.owner is not None:
            with collecting(problems):
                owner, group = identify(directory.owner, directory.group)
                there = disk.look(directory.path)
                if there and stat.S_ISDIR(there.kind) and not there.belongs_to(owner, group):
                    found.append(directory)
    return tuple(found)


@contextmanager
def collecting(problems: list[str]) -> Iterator[None]:
    """Append a PathError to `problems`, with its hint, instead of raising it."""
    try:
        yield
    except PathError as error:
        problems.append(error.in_one_line)
