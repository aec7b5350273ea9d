"""The file or directory found at a path, and its owner."""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import NamedTuple

from procman.accounts import group_id, user_id
from procman.errors import ProcmanError

AS_CREATED = -1
"""In place of a user or group id: keep the one that the kernel gives a new file."""


class PathError(ProcmanError):
    """A path that cannot be read or written, or not safely."""


class Found(NamedTuple):
    """The file, directory or link found at a path."""

    content: bytes | None
    """None if it is not a regular file."""
    kind: int
    """The file type, as `stat.S_IFMT` gives it."""
    mode: int
    owner: int
    group: int

    @property
    def noun(self) -> str:
        """Return what it is, for a message."""
        return _NOUNS.get(self.kind, "a device")

    def belongs_to(self, owner: int, group: int) -> bool:
        """Return whether it has this owner and group already; AS_CREATED matches any."""
        return owner in (self.owner, AS_CREATED) and group in (self.group, AS_CREATED)


_NOUNS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def identify(owner: str | None, group: str | None) -> tuple[int, int]:
    """Return the ids of `owner` and `group`, given as names or numbers; AS_CREATED for None. Raises PathError."""
    return _id_of("user", owner, user_id, "passwd"), _id_of("group", group, group_id, "group")


def _id_of(what: str, name: str | None, look_up: Callable[[str], int | None], database: str) -> int:
    if name is None:
        return AS_CREATED
    found = int(name) if name.isdecimal() else look_up(name)
    if found is None:
        raise PathError(f"there is no {what} {name} on this host", hint=f"check with: getent {database} {name}")
    return found
