"""Compares the desired files with those on disk, one by one; only `Disk` reads."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from procman.accounts import group_name, user_name
from procman.install.plan.describe import content_of
from procman.install.safe_fs.file_info import Found, PathError, identify
from procman.install.state.manifest import Manifest, digest
from procman.model import MARKER, Directories
from procman.project import ChangeKind, RenderedFile

RELOADED = (
    *(b"After", b"Before", b"Description", b"Documentation", b"ExecReload", b"Wants"),
    *(b"Restart", b"RestartMaxDelaySec", b"RestartSec", b"RestartSteps"),
    *(b"StartLimitIntervalSec", b"TimeoutAbortSec", b"TimeoutStartSec", b"TimeoutStopSec"),
)
"""The settings of a service that systemd reads only at the next start, stop or exit, and its process never sees: a
daemon-reload applies them (tried with systemd 252; RestartSteps= and RestartMaxDelaySec= are known from 254 on)."""

NUMBER = re.compile(rb"(?:export |Environment=)PROCMAN_INSTANCE=([0-9]+)")
"""The line of a start script or unit with the number of the instance."""

STOP_TIMEOUT = re.compile(rb"(?:export |Environment=)PROCMAN_STOP_TIMEOUT_SECONDS=[0-9]+")
"""The line with a worker's stop timeout, which an earlier procman left out. A running agent reads a longer one in the
manifest, and a section of supervisord that has another one restarts its program in any case."""


class Disk(Protocol):
    """What a comparison needs to know about the disk; `Tree` implements it for the real one."""

    def look(self, path: Path) -> Found | None:
        """Return the file or directory at `path`; None if there is nothing."""

    def has_directory(self, path: Path) -> bool:
        """Return whether `path` is a directory."""

    def names(self, path: Path) -> list[str]:
        """Return the names in the directory `path`."""

    def check_private(self, path: Path) -> None:
        """Raise PathError if others can write to the directory `path`."""


@dataclass(frozen=True)
class Change:
    """What a plan does to one path."""

    kind: ChangeKind
    path: Path
    found: Found | None
    """What the path has now; None: nothing."""
    new: RenderedFile | None
    """What it will have; None: nothing."""
    edited: bool = False
    """The file is managed but was edited by hand: it is backed up before it is changed or removed."""
    foreign: bool = False
    """The file is unmanaged and is adopted (`--replace`): it is backed up, too."""

    @property
    def old_content(self) -> bytes | None:
        """Return the current content of the file; None if there is no file."""
        return self.found.content if self.found else None

    @property
    def new_content(self) -> bytes | None:
        """Return its new content; None if the file is removed."""
        return content_of(self.new) if self.new else None

    @property
    def needs_no_restart(self) -> bool:
        """Return whether old and new content differ only in comments, and in settings that a reload applies."""
        old, new = self.old_content, self.new_content
        if old is None or new is None or old == new:
            return False
        return self._lines_for_the_process(old) == self._lines_for_the_process(new)

    def _lines_for_the_process(self, content: bytes) -> list[bytes]:
        # The first line of a script is not a comment: it names the interpreter.
        lines = [line for line in content.splitlines() if line[:1] not in (b"#", b";") or line[:2] == b"#!"]
        lines = [line for line in lines if not self._has_usual_number(line) and not STOP_TIMEOUT.fullmatch(line)]
        if self.path.suffix != ".service":
            return lines
        return [line for line in lines if line.partition(b"=")[0] not in RELOADED]

    def _has_usual_number(self, line: bytes) -> bool:
        """Return whether `line` only adds the number that the name has, or 1: an earlier procman left it out."""
        found = NUMBER.fullmatch(line)
        return found is not None and (found[1] == b"1" or self.path.stem.endswith(f"-{found[1].decode()}"))


@dataclass(frozen=True)
class Recorded:
    """The files that earlier runs recorded as managed: by path, with every digest recorded for it."""

    current: Mapping[Path, Collection[str]]
    """In the current generation."""
    unfinished: Mapping[Path, Collection[str]]
    """In generations that an interrupted run may have installed in part: managed only if the digest matches."""
    others: Mapping[Path, Collection[str]]
    """In the current generations of the scope's other projects."""

    def is_ours(self, path: Path, content: bytes) -> bool:
        """Return whether procman installed the file at `path` that now has `content`, edited since or not."""
        return path in self.current or path in self.others or digest(content) in self.unfinished.get(path, ())

    def is_edited(self, path: Path, content: bytes) -> bool:
        """Return whether `content` was never recorded for `path`."""
        known = (self.current, self.unfinished, self.others)
        return not any(digest(content) in records.get(path, ()) for records in known)


def digests(manifests: Iterable[Manifest]) -> dict[Path, set[str]]:
    """Return the digests that `manifests` record for each path."""
    known: dict[Path, set[str]] = {}
    for manifest in manifests:
        for file in manifest.files:
            known.setdefault(file.path, set()).add(file.digest)
    return known


def compare(file: RenderedFile, recorded: Recorded, directories: Directories, disk: Disk, *, adopt: bool) -> Change:
    """Return the change that installs `file`. Raises PathError if something else is at its path."""
    found = disk.look(file.path)
    if found is None:
        identify(file.owner, file.group)
        return Change(ChangeKind.CREATE, file.path, None, file)
    if found.content is None:
        raise PathError(f"{file.path} is {found.noun}, but procman installs a file there", hint="move it away")
    same = found.content == content_of(file)
    ours = recorded.is_ours(file.path, found.content) or (same and _looks_like_ours(file, directories))
    if not ours and not adopt:
        raise PathError(
            f"{file.path} exists, and procman did not install it",
            hint=f"move it away, or back it up and replace it: procman install --replace {file.path}",
        )
    kind = ChangeKind.KEEP if same and ours and _has_owner_and_mode(file, found) else ChangeKind.UPDATE
    edited = ours and not same and recorded.is_edited(file.path, found.content)
    return Change(kind, file.path, found, file, edited=edited, foreign=not ours)


def removals(desired: Collection[Path], recorded: Recorded, disk: Disk) -> list[Change]:
    """Return a change for each managed file that is no longer `desired`, children first."""
    paths = {*recorded.current, *recorded.unfinished} - {*desired, *recorded.others}
    changes = []
    for path in sorted(paths, reverse=True):
        found = disk.look(path)
        if found is not None and found.content is not None and recorded.is_ours(path, found.content):
            edited = recorded.is_edited(path, found.content)
            changes.append(Change(ChangeKind.REMOVE, path, found, None, edited=edited))
    return changes


def adopted(path: Path, left: str | None, disk: Disk) -> Change | None:
    """Return the change that reduces an unmanaged file to `left`, or removes it; None if that was done before."""
    found = disk.look(path)
    if found is None:
        return None
    if found.content is None:
        raise PathError(f"{path} is {found.noun}, not a file that --replace can adopt", hint="change it by hand")
    if left is None:
        return Change(ChangeKind.REMOVE, path, found, None, foreign=True)
    new = RenderedFile(path, left, found.mode, user_name(found.owner), group_name(found.group), programs=())
    return None if found.content == content_of(new) else Change(ChangeKind.UPDATE, path, found, new, foreign=True)


def given_back(path: Path, copy: Found, disk: Disk) -> Change:
    """Return the change that restores an adopted file to what it was before."""
    found = disk.look(path)
    text = (copy.content or b"").decode("utf-8", "surrogateescape")
    new = RenderedFile(path, text, copy.mode, user_name(copy.owner), group_name(copy.group), programs=())
    return Change(ChangeKind.UPDATE if found else ChangeKind.CREATE, path, found, new)


def _looks_like_ours(file: RenderedFile, directories: Directories) -> bool:
    # If the state directory was lost: the content is exactly ours, and has our marker or is in a directory of ours.
    places = (directories.configuration, directories.library, directories.shared_configuration)
    return MARKER in file.content or any(place in file.path.parents for place in places)


def _has_owner_and_mode(file: RenderedFile, found: Found) -> bool:
    return found.belongs_to(*identify(file.owner, file.group)) and found.mode == file.mode
