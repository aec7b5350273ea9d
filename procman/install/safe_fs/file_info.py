"""What is found at a path, and whose it is."""

from __future__ import annotations

import stat
from typing import NamedTuple

from procman.accounts import group_id, user_id
from procman.errors import ProcmanError

AS_CREATED = -1
"""In place of a user or group id: whatever the new file gets by itself."""


class PathError(ProcmanError):
    """A path that cannot be read or written, or that is not safe to."""


class Found(NamedTuple):
    """What is at a path; of a link, the link itself."""

    content: bytes | None
    """None for anything but a regular file."""
    kind: int
    """The file type, as `stat.S_IFMT` gives it."""
    mode: int
    owner: int
    group: int

    @property
    def noun(self) -> str:
        """Say what it is, for a message."""
        return _NOUNS.get(self.kind, "a device")


_NOUNS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def identify(owner: str | None, group: str | None) -> tuple[int, int]:
    """Return the ids of OWNER and GROUP, given as names or numbers; AS_CREATED for None. Raises PathError."""
    return _user_id(owner), _group_id(group)


def _user_id(name: str | None) -> int:
    if name is None:
        return AS_CREATED
    found = int(name) if name.isdecimal() else user_id(name)
    if found is None:
        raise PathError(f"there is no user {name} on this host", hint=f"see: getent passwd {name}")
    return found


def _group_id(name: str | None) -> int:
    if name is None:
        return AS_CREATED
    found = int(name) if name.isdecimal() else group_id(name)
    if found is None:
        raise PathError(f"there is no group {name} on this host", hint=f"see: getent group {name}")
    return found
