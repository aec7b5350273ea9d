"""The comparison, file by file, of what is to be on disk with what is there: pure, but for the reading `Disk` does."""

from __future__ import annotations

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


class Disk(Protocol):
    """What a comparison may ask; `Tree` answers for the real one."""

    def look(self, path: Path) -> Found | None:
        """Return what is at PATH."""

    def has_directory(self, path: Path) -> bool:
        """Say whether PATH is a directory."""

    def names(self, path: Path) -> list[str]:
        """Return the names in the directory PATH."""

    def check_private(self, path: Path) -> None:
        """Raise PathError if others can write to the directory PATH."""


@dataclass(frozen=True)
class Change:
    """What applying the plan does to one path."""

    kind: ChangeKind
    path: Path
    found: Found | None
    """What is there now."""
    new: RenderedFile | None
    """What will be; None: nothing."""
    edited: bool = False
    """Somebody changed our file: it is set aside before it is changed or removed."""
    foreign: bool = False
    """It is somebody else's, taken over because the administrator asked for it: set aside too."""

    @property
    def old_content(self) -> bytes | None:
        """What the file holds; None if there is no file."""
        return self.found.content if self.found else None

    @property
    def new_content(self) -> bytes | None:
        """What it will hold; None if it will be gone."""
        return content_of(self.new) if self.new else None

    @property
    def is_comment_only(self) -> bool:
        """Whether the old and the new content differ in nothing but lines of comment."""
        old, new = self.old_content, self.new_content
        return None not in (old, new) and old != new and _without_comments(old or b"") == _without_comments(new or b"")


@dataclass(frozen=True)
class Recorded:
    """Which files earlier runs recorded as ours, by path with all digests they were given."""

    current: Mapping[Path, Collection[str]]
    """In the current generation."""
    unfinished: Mapping[Path, Collection[str]]
    """In those that an interrupted run may have put in place: ours only where the digest is right."""
    others: Mapping[Path, Collection[str]]
    """In the current generations of the scope's other projects."""

    def is_ours(self, path: Path, content: bytes) -> bool:
        """Say whether the file with CONTENT at PATH was put there by procman, edited since or not."""
        return path in self.current or path in self.others or digest(content) in self.unfinished.get(path, ())

    def is_edited(self, path: Path, content: bytes) -> bool:
        """Say whether CONTENT is nothing that was ever recorded for PATH."""
        known = (self.current, self.unfinished, self.others)
        return not any(digest(content) in records.get(path, ()) for records in known)


def digests(manifests: Iterable[Manifest]) -> dict[Path, set[str]]:
    """Return the digests that MANIFESTS have for each path."""
    known: dict[Path, set[str]] = {}
    for manifest in manifests:
        for file in manifest.files:
            known.setdefault(file.path, set()).add(file.digest)
    return known


def compare(file: RenderedFile, recorded: Recorded, directories: Directories, disk: Disk, *, adopt: bool) -> Change:
    """Return what has to happen for FILE to be on disk. Raises PathError where something stands in its way."""
    found = disk.look(file.path)
    if found is None:
        identify(file.owner, file.group)
        return Change(ChangeKind.CREATE, file.path, None, file)
    if found.content is None:
        raise PathError(f"{file.path} is {found.noun} where a file of procman's belongs", hint="move it away")
    same = found.content == content_of(file)
    ours = recorded.is_ours(file.path, found.content) or (same and _looks_like_ours(file, directories))
    if not ours and not adopt:
        raise PathError(
            f"{file.path} exists and was not put there by procman",
            hint=f"move it away, or have it set aside: procman install --replace {file.path}",
        )
    kind = ChangeKind.KEEP if same and ours and _has_owner_and_mode(file, found) else ChangeKind.UPDATE
    edited = ours and not same and recorded.is_edited(file.path, found.content)
    return Change(kind, file.path, found, file, edited=edited, foreign=not ours)


def removals(desired: Collection[Path], recorded: Recorded, disk: Disk) -> list[Change]:
    """Return a change for each file of ours that is not DESIRED any more, children first."""
    paths = {*recorded.current, *recorded.unfinished} - {*desired, *recorded.others}
    changes = []
    for path in sorted(paths, reverse=True):
        found = disk.look(path)
        if found is not None and found.content is not None and recorded.is_ours(path, found.content):
            edited = recorded.is_edited(path, found.content)
            changes.append(Change(ChangeKind.REMOVE, path, found, None, edited=edited))
    return changes


def adopted(path: Path, left: str | None, disk: Disk) -> Change | None:
    """Return the change that leaves LEFT of somebody else's file, or removes it; None if that was done before."""
    found = disk.look(path)
    if found is None:
        return None
    if found.content is None:
        raise PathError(f"{path} is {found.noun}, not a file that can be taken over", hint="change it by hand")
    if left is None:
        return Change(ChangeKind.REMOVE, path, found, None, foreign=True)
    new = RenderedFile(path, left, found.mode, user_name(found.owner), group_name(found.group), programs=())
    return None if found.content == content_of(new) else Change(ChangeKind.UPDATE, path, found, new, foreign=True)


def given_back(path: Path, copy: Found, disk: Disk) -> Change:
    """Return the change that puts somebody else's file back as it was before it was taken over."""
    found = disk.look(path)
    text = (copy.content or b"").decode("utf-8", "surrogateescape")
    new = RenderedFile(path, text, copy.mode, user_name(copy.owner), group_name(copy.group), programs=())
    return Change(ChangeKind.UPDATE if found else ChangeKind.CREATE, path, found, new)


def _without_comments(content: bytes) -> list[bytes]:
    # The first line of a script says what runs it.
    return [line for line in content.splitlines() if line[:1] not in (b"#", b";") or line[:2] == b"#!"]


def _looks_like_ours(file: RenderedFile, directories: Directories) -> bool:
    # When the state was lost: what is to the byte what we would write, and says so or stands in a place of ours.
    places = (directories.configuration, directories.library, directories.shared_configuration)
    return MARKER in file.content or any(place in file.path.parents for place in places)


def _has_owner_and_mode(file: RenderedFile, found: Found) -> bool:
    return found.belongs_to(*identify(file.owner, file.group)) and found.mode == file.mode
