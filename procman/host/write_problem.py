"""Find from outside why a program cannot write its heartbeat."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import NamedTuple

from procman.accounts import user_name
from procman.host.mounts import is_read_only
from procman.host.permissions import Account, account_of

GET_FLAGS = 2 << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | 1
"""FS_IOC_GETFLAGS, an ioctl for the attributes of an inode (ioctl_iflags(2)); unknown to some file systems."""

UNCHANGEABLE = {"i": 0x10, "a": 0x20}
"""The attributes with which no file in a directory can be replaced (chattr(1)): immutable, and append only."""


class WriteProblem(NamedTuple):
    """Why a program cannot write its heartbeat, and what to do about it."""

    reason: str
    hint: str


def write_problem(directory: Path, user: str | None, pid: int) -> WriteProblem | None:
    """Return why process `pid`, which runs as `user`, cannot write to its run directory.

    None: no reason can be seen. Only modes are looked at, not access control lists or security modules.
    """
    account = account_of(user)
    if account is None:
        return None
    try:
        return _of_modes(directory, account) or _of_mount(directory, pid) or _of_flags(directory)
    except FileNotFoundError:
        return WriteProblem(f"its directory is missing: {directory}", "procman install")
    except OSError:
        return None  # this user may not look


def _of_modes(directory: Path, account: Account) -> WriteProblem | None:
    for place in reversed(directory.parents):
        if not account.may_enter(place.stat()):
            mode = f"mode {place.stat().st_mode & 0o7777:04o}"
            return WriteProblem(f"{account.name} may not enter {place} ({mode})", f"chmod a+x {place}")
    status = directory.stat()
    if account.may_write(status) and account.may_enter(status):
        return None
    if status.st_uid != account.user:
        owner = user_name(status.st_uid)
        return WriteProblem(
            f"{directory} belongs to {owner}, not to {account.name}", f"chown {account.name} {directory}"
        )
    mode = f"mode {status.st_mode & 0o7777:04o}"
    return WriteProblem(f"{account.name} may not write to {directory} ({mode})", f"chmod u+rwx {directory}")


def _of_flags(directory: Path) -> WriteProblem | None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    flags = bytearray(struct.calcsize("l"))
    try:
        fcntl.ioctl(descriptor, GET_FLAGS, flags)
    finally:
        os.close(descriptor)
    found = struct.unpack_from("i", flags)[0]
    letters = [letter for letter, flag in UNCHANGEABLE.items() if found & flag]
    if not letters:
        return None
    return WriteProblem(f"{directory} has the attribute {letters[0]} (lsattr -d)", f"chattr -{letters[0]} {directory}")


def _of_mount(directory: Path, pid: int) -> WriteProblem | None:
    if not is_read_only(pid, directory):
        return None
    return WriteProblem(f"{directory} is on a read-only file system", f"findmnt -T {directory}; dmesg | tail")
