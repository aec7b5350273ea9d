"""The rule for every signal that procman sends itself: only to a process of the program's user (S3).

A process manager reports which process to signal, and one that is not root's can report any. The kernel lets root
signal every process, so procman checks who reported the process, and whose it is.
"""

from __future__ import annotations

from collections.abc import Collection

from procman.accounts import user_name
from procman.backends.reporter import Reporter
from procman.errors import ProcmanError
from procman.host.process import users_of


class SignalRefused(ProcmanError):
    """The process does not belong to the program's user, or an untrusted user reported it."""


def require_permission(name: str, pid: int, users: Collection[int], reporter: Reporter | None) -> None:
    """Raise SignalRefused unless process `pid` belongs to one of `users` alone, and `reporter` may be trusted.

    One of `users` may have reported it, too, because each can signal its own processes. `reporter` is None for a
    process manager that no other user can impersonate.
    """
    refusing = f"{name}: refusing to signal process {pid}"
    if reporter and reporter.user is not None and reporter.user not in {*reporter.trusted, *users}:
        who, expected = user_name(reporter.user), " or ".join(user_name(each) for each in sorted(reporter.trusted))
        raise SignalRefused(
            f"{refusing}: {who} listens at {reporter.address}, not {expected}",
            hint=f"Find out which program of {who} listens there, and end it: ss -xlp",
        )
    owners = users_of(pid)
    if len(owners) != 1 or not owners & set(users):
        belongs = f"belongs to {' and '.join(user_name(each) for each in sorted(owners))}" if owners else "has ended"
        expected = " or ".join(user_name(each) for each in sorted(users)) or "an existing user"
        raise SignalRefused(
            f"{refusing}: it {belongs}, not to {expected}", hint=f"See what it is: ps -o user,pid,args -p {pid}"
        )
