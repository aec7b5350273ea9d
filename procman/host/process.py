"""Looks at single processes of this host in /proc; knows nothing where there is none (macOS)."""

from __future__ import annotations

import os
import time
from pathlib import Path

_PROC = Path("/proc")

_START = 19
"""Where in the fields from the state on the start is, in clock ticks after the boot (proc(5))."""

_TICKS = os.sysconf("SC_CLK_TCK")


def alive(pid: int) -> bool:
    """Say whether process PID exists and has not ended yet; a zombie has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _status(pid)[:1] != ["Z"]


def suspended(pid: int) -> bool:
    """Say whether process PID was stopped by a signal and does nothing until SIGCONT."""
    return _status(pid)[:1] == ["T"]


def started(pid: int) -> float | None:
    """Return when process PID was started, in seconds since the epoch by the clock as it is now, however it was set."""
    status = _status(pid)
    if not status:
        return None
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(status[_START]) / _TICKS


def arguments(pid: int) -> list[str]:
    """Return the command line of process PID; empty where it cannot be told."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in raw.split(b"\0")[:-1]]


def owner(pid: int) -> int | None:
    """Return the user of process PID."""
    try:
        return (_PROC / str(pid)).stat().st_uid
    except OSError:
        return None


def parent(pid: int) -> int | None:
    """Return the parent of process PID."""
    status = _status(pid)
    return int(status[1]) if status else None


def children(pid: int) -> list[int]:
    """Return the children of process PID."""
    try:
        entries = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    except OSError:
        return []
    return sorted(entry for entry in entries if parent(entry) == pid)


def _status(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; the name before them may itself hold blanks and brackets."""
    try:
        # For hundreds of programs pathlib would take as long as asking supervisord.
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            text = os.read(descriptor, 4096).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
    except OSError:
        return []
    return text.rpartition(")")[2].split()
