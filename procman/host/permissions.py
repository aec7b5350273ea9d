"""Judge what the mode of a file lets a program's user do; access control lists are ignored."""

from __future__ import annotations

import grp
import os
import stat
from dataclasses import dataclass

from procman.accounts import account


@dataclass(frozen=True)
class Account:
    """The user and groups of a program, for judging permissions."""

    name: str
    user: int
    groups: frozenset[int]

    def may_write(self, status: os.stat_result) -> bool:
        """Return whether the mode of a file or directory lets this user write."""
        return self._may(stat.S_IWOTH, status)

    def may_enter(self, status: os.stat_result) -> bool:
        """Return whether the mode of a directory lets this user use its entries."""
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
