"""What is found at a path, and whose it is."""

from __future__ import annotations

import grp
import pwd
import stat
from typing import NamedTuple

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


def user_name(user: int) -> str:
    """Return the name of a user id, or the number where it has none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def group_name(group: int) -> str:
    """Return the name of a group id, or the number where it has none."""
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)


def _user_id(name: str | None) -> int:
    if name is None:
        return AS_CREATED
    try:
        return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise PathError(f"there is no user {name} on this host", hint=f"see: getent passwd {name}") from None


def _group_id(name: str | None) -> int:
    if name is None:
        return AS_CREATED
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise PathError(f"there is no group {name} on this host", hint=f"see: getent group {name}") from None
