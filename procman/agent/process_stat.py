"""Read /proc/PID/stat (proc(5)), apart from what is concluded from it: the probe usually needs no more."""

import time

from .light_typing import List

PARENT, USER_TICKS, SYSTEM_TICKS, START = 1, 11, 12, 19
"""Indexes of the parent's pid, the CPU time and the start in the fields that begin with the state."""

BOOTTIME = getattr(time, "CLOCK_BOOTTIME", 7)  # Python 3.6 has no name for it


def stat_fields(which: str) -> List[str]:
    """Return the fields of a stat file, beginning with the state; empty if the process or thread has ended."""
    try:
        with open(f"/proc/{which}/stat", encoding="utf-8", errors="replace") as file:
            # The name before them may itself contain blanks and parentheses.
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def start_ticks(which: str) -> int:
    """Return when a process was started, in clock ticks after the boot; 0 if it has ended."""
    fields = stat_fields(which)
    return int(fields[START]) if fields else 0


def asleep_seconds() -> float:
    """Return how long the host was suspended since it was booted: the monotonic clock stood still meanwhile."""
    return time.clock_gettime(BOOTTIME) - time.monotonic()
