"""Find from outside why a program cannot write its heartbeat."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from procman.accounts import user_name
from procman.host.mounts import is_read_only
from procman.host.permissions import Account, account_of


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
        return _of_modes(directory, account) or _of_mount(directory, pid)
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


def _of_mount(directory: Path, pid: int) -> WriteProblem | None:
    if not is_read_only(pid, directory):
        return None
    return WriteProblem(f"{directory} is on a read-only file system", f"findmnt -T {directory}; dmesg | tail")
