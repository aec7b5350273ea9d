"""Query single processes of this host through psutil, which is imported when first needed.

`procman status` and `procman health` query every process of every program each minute. With psutil (9 ms for its import
and 40 to 100 µs for each process) both take 10 to 12 % more CPU time for 40 programs. So the four values that they need
(start, user, open files and memory) are read from /proc directly.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    import psutil

T = TypeVar("T")

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

SUMS_MEMORY = os.path.exists("/proc/self/smaps_rollup")
"""Whether the kernel sums up the memory of a process: since Linux 4.14, if built with that option (proc(5))."""

START = 19
"""The index of the start time, in clock ticks after the boot, in the fields that begin with the state (proc(5))."""

NICE = 16
"""The index of the nice value in the same fields."""

CAP_SYS_RESOURCE = 24
"""The bit of the capability to raise hard limits (linux/capability.h)."""

BLOCKED_SECONDS = 1.0
"""For how long a process that reads a signal from a descriptor is seen to block it."""


class OpenFiles(NamedTuple):
    """How many files a process has open, and how many it may have open."""

    held: int
    limit: int


def stat_fields(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat, beginning with the state; empty if the process does not exist."""
    try:
        # It is shorter than a page. The name before them may itself contain blanks and parentheses.
        return content(pid, "stat", PAGE_BYTES).rpartition(b")")[2].split()
    except OSError:
        return []


def content(pid: int, name: str, most: int | None = None) -> bytes:
    """Return the content of the file `name` in /proc/PID, or what one read of `most` bytes gives. Raises OSError."""
    # For hundreds of programs, pathlib would take as long as supervisord, and open() a third longer than this.
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, most) if most else b"".join(iter(lambda: os.read(descriptor, PAGE_BYTES), b""))
    finally:
        os.close(descriptor)


def boot_id() -> str:
    """Return the id of this boot; empty if the system has none."""
    try:
        return BOOT_ID.read_bytes().decode("ascii").strip()  # read_text would import the codec
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """Return when process `pid` was started, in clock ticks after the boot; with its pid, this identifies the process.

    psutil returns only a time of day, which changes when the clock is set.
    """
    fields = stat_fields(pid)
    return int(fields[START]) if fields else None


def identity(pid: int | None) -> str:
    """Return a text that identifies process `pid`, also after its pid was reused; empty if there is none."""
    ticks = None if pid is None else start_ticks(pid)
    return "" if ticks is None else f"{pid} {ticks}"


def started(pid: int) -> float | None:
    """Return when process `pid` was started, in seconds since the epoch by the present clock, even if it was set."""
    ticks = start_ticks(pid)
    return None if ticks is None else time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / TICKS


def alive(pid: int) -> bool:
    """Return whether process `pid` exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _ask(pid, lambda process: process.status()) != "zombie"


def suspended(pid: int) -> bool:
    """Return whether process `pid` is suspended by a signal until it gets SIGCONT."""
    return _ask(pid, lambda process: process.status()) == "stopped"


def arguments(pid: int) -> list[str]:
    """Return the command line of process `pid`; empty if unknown."""
    return _ask(pid, lambda process: process.cmdline()) or []


def users_of(pid: int) -> frozenset[int]:
    """Return the real, effective and saved user ids of process `pid`, mostly one; empty if it does not exist."""
    return frozenset(status_numbers(pid, b"Uid:")[:3])


def user_of(pid: int) -> int | None:
    """Return the id of the user that process `pid` runs as; None if it does not exist."""
    words = _line(pid, "status", b"Uid:")
    return int(words[1]) if words else None


def status_numbers(pid: int, label: bytes) -> list[int]:
    """Return the numbers after `label` in /proc/PID/status (proc(5)); empty if the process does not exist."""
    return [int(word) for word in _line(pid, "status", label)]


def nice_of(pid: int) -> int | None:
    """Return the nice value of process `pid`; None if it does not exist."""
    fields = stat_fields(pid)
    return int(fields[NICE]) if fields else None


def catches(pid: int, number: int) -> bool:
    """Return whether process `pid` has a handler for the signal `number`; False if it does not exist."""
    return _has_signal(pid, b"SigCgt:", number)


def ignores(pid: int, number: int) -> bool:
    """Return whether process `pid` ignores the signal `number`; False if it does not exist."""
    return _has_signal(pid, b"SigIgn:", number)


def keeps_blocked(pid: int, number: int) -> bool:
    """Return whether process `pid` blocks the signal `number` for good, perhaps to read it from a signalfd(2).

    A shell blocks every signal for a moment whenever it starts a command. A yes takes BLOCKED_SECONDS.
    """
    deadline = time.monotonic() + BLOCKED_SECONDS
    while _has_signal(pid, b"SigBlk:", number):
        if time.monotonic() > deadline:
            return True
        time.sleep(BLOCKED_SECONDS / 50)
    return False


def executable(pid: int) -> str | None:
    """Return the path of the file that process `pid` executes; None without permission."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def parent(pid: int) -> int | None:
    """Return the parent of process `pid`; None if it does not exist."""
    return _ask(pid, lambda process: process.ppid())


def children(pid: int) -> list[int]:
    """Return the children of process `pid`, by reading every process of the host: use process_tree for several."""
    return sorted(child.pid for child in _ask(pid, lambda process: process.children()) or ())


def directory_of(pid: int) -> Path | None:
    """Return the working directory of process `pid`; None without permission."""
    # Without psutil, like the next function: its import would slow `procman health` down.
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return None


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that process `pid` was started with; empty without permission."""
    try:
        words = content(pid, "environ").decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def open_files(pid: int) -> OpenFiles | None:
    """Return how many files process `pid` has open; None without permission or limit."""
    try:
        held = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    # psutil uses prlimit(2), which fails for another user's process in most containers, even for root.
    limit = next(iter(_line(pid, "limits", b"Max open files")), b"")
    return OpenFiles(held, int(limit)) if limit.isdigit() else None


def file_limits(pid: int) -> tuple[int, int] | None:
    """Return how many files process `pid` may open, and to how many it may raise that; None if it does not exist."""
    soft, hard = [*_line(pid, "limits", b"Max open files"), b"", b""][:2]
    numbers = [sys.maxsize if word == b"unlimited" else int(word) for word in (soft, hard) if word]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def may_raise_limits() -> bool:
    """Return whether this process may raise its hard limits: root may, but in most containers not (capabilities(7))."""
    [capabilities] = _line(os.getpid(), "status", b"CapEff:") or [b"0"]
    return bool(int(capabilities, 16) >> CAP_SYS_RESOURCE & 1)


def written_by(pids: Iterable[int]) -> set[Path]:
    """Return the files that processes have open for writing; only root sees those of other users' processes."""
    found = (file for pid in pids for file in _ask(pid, lambda process: process.open_files()) or ())
    return {Path(file.path) for file in found if file.flags & os.O_ACCMODE != os.O_RDONLY}


def memory(pid: int) -> tuple[int, bool] | None:
    """Return how many bytes `pid` uses, and whether that is its share (PSS); without permission for that, it is RSS.

    Return None if the process no longer exists.
    """
    if not SUMS_MEMORY:
        return _ask(pid, _memory)
    try:
        try:
            share = content(pid, "smaps_rollup", PAGE_BYTES).partition(b"\nPss:")[2]
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
        # The process does not exist, or there is no permission.
        return None


def _memory(process: psutil.Process) -> tuple[int, bool]:
    import psutil

    try:
        return process.memory_full_info().pss, True
    except psutil.AccessDenied:
        return process.memory_info().rss, False


def _has_signal(pid: int, label: bytes, number: int) -> bool:
    # The masks are hexadecimal numbers (proc(5)).
    return any(int(mask, 16) >> (number - 1) & 1 for mask in _line(pid, "status", label))


def _line(pid: int, name: str, label: bytes) -> list[bytes]:
    """Return the words after `label` in a file of /proc/PID; empty if the process does not exist."""
    try:
        return content(pid, name).partition(b"\n" + label)[2].partition(b"\n")[0].split()
    except OSError:
        return []
