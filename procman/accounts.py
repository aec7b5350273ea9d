"""Users and groups of this host, by name and by number."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping

LONGEST_ID = 10
"""Digits of the largest number of a user or group."""


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


def named_user(text: str) -> str:
    """Return the name of the user that `text` names, or of which it is the number, as in `User=1000`."""
    return user_name(int(text)) if _is_id(text) else text


def named_group(text: str) -> str:
    """Return the name of the group that `text` names, or of which it is the number."""
    return group_name(int(text)) if _is_id(text) else text


def _is_id(text: str) -> bool:
    return text.isdecimal() and len(text) <= LONGEST_ID


def invoking_user(environment: Mapping[str, str]) -> str:
    """Return the name of the user who runs this command: the caller of sudo, or the current user."""
    import getpass  # imported when needed: monitoring gives no orders

    try:
        return environment.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return "an unknown user"


def group_name(group: int) -> str:
    """Return the name of a group id, or the number if it has none."""
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)


def login_environment(entry: pwd.struct_passwd) -> dict[str, str]:
    """Return the variables that a login sets from the password database."""
    return {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
