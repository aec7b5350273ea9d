"""Users and groups of this host, by name and by number, and what the mode of a file lets them do."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass


def account(user: str | None) -> pwd.struct_passwd | None:
    """Return the entry of `user`, or of the calling user for None; None if the user does not exist."""
    try:
        return pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
    except KeyError:
        return None


def user_id(name: str | None) -> int | None:
    """Return the id of the user `name`, or of the calling user for None; None if the user does not exist."""
    if name is None:
        return os.geteuid()
    entry = account(name)
    return entry.pw_uid if entry else None


def group_id(name: str) -> int | None:
    """Return the id of the group `name`; None if the group does not exist."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def user_name(user: int) -> str:
    """Return the name of a user id, or the number if it has none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def group_name(group: int) -> str:
    """Return the name of a group id, or the number if it has none."""
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)


def login_environment(entry: pwd.struct_passwd) -> dict[str, str]:
    """Return the variables that a login sets from the password database."""
    return {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}


@dataclass(frozen=True)
class Account:
    """The user and groups of a program, for judging permissions."""

    name: str
    user: int
    groups: frozenset[int]

    def may_write(self, status: os.stat_result) -> bool:
        """Return whether the mode of a file or directory lets this user write; access control lists are ignored."""
        return self._may(stat.S_IWOTH, status)

    def may_enter(self, status: os.stat_result) -> bool:
        """Return whether the mode of a directory lets this user use its entries; access control lists are ignored."""
        return self._may(stat.S_IXOTH, status)

    def _may(self, bit: int, status: os.stat_result) -> bool:
        """Return whether the mode has the `bit` of others, or the same bit of the group or user that applies."""
        if self.user == 0:
            return True
        shift = 6 if status.st_uid == self.user else 3 if status.st_gid in self.groups else 0
        return bool(status.st_mode & bit << shift)


def account_of(user: str | None) -> Account | None:
    """Return the account that a program runs as; None if the user does not exist."""
    entry = account(user)
    if entry is None:
        return None
    groups = {entry.pw_gid, *(group.gr_gid for group in grp.getgrall() if entry.pw_name in group.gr_mem)}
    return Account(entry.pw_name, entry.pw_uid, frozenset(groups))
