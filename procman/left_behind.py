"""End the processes that a child process leaves behind, even if they have detached themselves from it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h."""

PATIENCE_SECONDS = 2.0
"""How long processes have to exit after SIGKILL: one that waits for a disk may take for ever."""


@contextmanager
def ended(user: int) -> Iterator[None]:
    """On exit, kill what the processes started meanwhile leave behind, as far as it runs as `user`.

    Until then Linux gives orphans to this process instead of process 1 (PR_SET_CHILD_SUBREAPER, prctl(2)), whatever
    sessions they have started. The caller must not start a process as `user` in another thread meanwhile.
    """
    before = set(_children())
    adopts = _adopt(yes=True)
    try:
        yield
    finally:
        if adopts:
            _end(before, user)
            _adopt(yes=False)


def _adopt(*, yes: bool) -> bool:
    # Imported here, because it is slow and only the probes of an app need it.
    import ctypes

    try:
        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def _end(before: set[int], user: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        # The children of an orphan that ends become orphans in turn.
        left = [pid for pid in _children() if pid not in before and _status(str(pid), "Uid:") == user]
        if not left:
            return
        for pid in left:
            # It cannot be another process: its pid is free only after this process has waited for it.
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.01)


def _children() -> Iterator[int]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - only the names
        if name.isdecimal() and _status(name, "PPid:") == os.getpid():
            yield int(name)


def _status(pid: str, label: str) -> int | None:
    """Return the first number after `label` in /proc/PID/status; None if the process does not exist."""
    with suppress(OSError):
        lines = Path("/proc", pid, "status").read_text(encoding="utf-8", errors="replace").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith(label)), None)
    return None
