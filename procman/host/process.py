"""Looks at single processes of this host: through psutil, which is imported at the first question that needs it.

`procman status` and `procman health` ask about every process of every program each minute. With psutil for that, 9 ms
of import and 40 to 100 µs a process, both take 10 to 12 % more CPU time for 40 programs. The answers to their four
questions (start, user, open files and memory) are read by hand.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    import psutil

T = TypeVar("T")

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

SUMS_MEMORY = os.path.exists("/proc/self/smaps_rollup")
"""Whether the kernel adds up the memory of a process: Linux 4.14 and later, unless configured away (proc(5))."""

START = 19
"""Where in the fields from the state on the start is, in clock ticks after the boot (proc(5))."""


class OpenFiles(NamedTuple):
    """How many files a process has open, and how many it may have."""

    held: int
    limit: int


def stat_fields(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the state on; empty where there is no such process."""
    try:
        # The name before them may itself hold blanks and brackets.
        return content(pid, "stat").rpartition(b")")[2].split()
    except OSError:
        return []


def content(pid: int, name: str) -> bytes:
    """Return what /proc/PID holds under `name`. Raises OSError."""
    # Unbuffered, a third of the time; for hundreds of programs pathlib takes as long as asking supervisord.
    with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
        return file.read()


def start_ticks(pid: int) -> int | None:
    """Return when process `pid` was started, in clock ticks after the boot, which together with its pid identifies it.

    psutil tells only a time, which moves when the clock is set.
    """
    fields = stat_fields(pid)
    return int(fields[START]) if fields else None


def started(pid: int) -> float | None:
    """Return when process `pid` was started, in seconds since the epoch by the clock as it is now, however set."""
    ticks = start_ticks(pid)
    return None if ticks is None else time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / TICKS


def alive(pid: int) -> bool:
    """Say whether process `pid` exists and has not ended yet; a zombie has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _ask(pid, lambda process: process.status()) != "zombie"


def suspended(pid: int) -> bool:
    """Say whether process `pid` was stopped by a signal and does nothing until SIGCONT."""
    return _ask(pid, lambda process: process.status()) == "stopped"


def arguments(pid: int) -> list[str]:
    """Return the command line of process `pid`; empty where it is unknown."""
    return _ask(pid, lambda process: process.cmdline()) or []


def user_of(pid: int) -> int | None:
    """Return the id of the user that process `pid` runs as; None if it is gone."""
    words = _line(pid, "status", b"Uid:")
    return int(words[1]) if words else None


def parent(pid: int) -> int | None:
    """Return the parent of process `pid`; None if it is gone."""
    return _ask(pid, lambda process: process.ppid())


def children(pid: int) -> list[int]:
    """Return the children of process `pid`, by reading every process of the host: ask process_tree about several."""
    return sorted(child.pid for child in _ask(pid, lambda process: process.children()) or ())


def directory_of(pid: int) -> Path | None:
    """Return the working directory of process `pid`; None where it may not be seen."""
    directory = _ask(pid, lambda process: process.cwd())
    return Path(directory) if directory else None


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that process `pid` was started with; empty where it may not be seen."""
    return _ask(pid, lambda process: process.environ()) or {}


def open_files(pid: int) -> OpenFiles | None:
    """Return how many files process `pid` has open; None where that may not be seen, or where there is no limit."""
    try:
        held = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    # psutil asks by prlimit(2), which root may not ask about another user's process in most containers.
    limit = next(iter(_line(pid, "limits", b"Max open files")), b"")
    return OpenFiles(held, int(limit)) if limit.isdigit() else None


def written_by(pids: Iterable[int]) -> set[Path]:
    """Return the files that processes hold open for writing; of other users' processes only to root."""
    found = (file for pid in pids for file in _ask(pid, lambda process: process.open_files()) or ())
    return {Path(file.path) for file in found if file.flags & os.O_ACCMODE != os.O_RDONLY}


def memory(pid: int) -> tuple[int, bool] | None:
    """Return how many bytes `pid` uses, and whether that is its share (PSS); where that may not be read, it is the RSS.

    None: there is no such process any more.
    """
    if not SUMS_MEMORY:
        return _ask(pid, _memory)
    try:
        try:
            share = content(pid, "smaps_rollup").partition(b"\nPss:")[2]
            return int(share.split(maxsplit=1)[0]) * 1024, True
        except PermissionError:
            return int(content(pid, "statm").split()[1]) * PAGE_BYTES, False
    except OSError:
        return None


def _ask(pid: int, question: Callable[[psutil.Process], T]) -> T | None:
    import psutil

    try:
        return question(psutil.Process(pid))
    except psutil.Error:
        # It is gone, or may not be seen.
        return None


def _memory(process: psutil.Process) -> tuple[int, bool]:
    import psutil

    try:
        return process.memory_full_info().pss, True
    except psutil.AccessDenied:
        return process.memory_info().rss, False


def _line(pid: int, name: str, label: bytes) -> list[bytes]:
    """Return the words behind `label` in a file of /proc/PID; none where the process is gone."""
    try:
        return content(pid, name).partition(b"\n" + label)[2].partition(b"\n")[0].split()
    except OSError:
        return []
