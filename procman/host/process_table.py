"""The processes of the host that matter, at one moment: from Linux's /proc, or by psutil where there is none."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from procman.host.process_tree import children, tree

IN_PROC = os.path.exists("/proc/self/stat")

TICKS = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """One process; a named tuple, because there are hundreds."""

    pid: int
    parent: int
    age: float
    """Seconds since its start, whatever was done to the clock."""
    is_zombie: bool
    argv: tuple[str, ...]
    """Empty for the kernel's own and for those that have ended."""


Processes = Mapping[int, Process]
"""By pid."""


class OpenFiles(NamedTuple):
    """How many files a process has open, and how many it may have."""

    held: int
    limit: int


def look_at(pids: Iterable[int], words: Iterable[str]) -> Processes:
    """Return PIDS with all below them, and every process whose command line holds one of WORDS, with its parent."""
    if not IN_PROC:
        return {process.pid: process for process in _by_psutil()}
    children_of = children()
    desired = {each for pid in pids for each in tree(pid, children_of)}
    marks = [os.fsencode(word) for word in words]
    found = _in_proc({*desired, *_with(marks)})
    return {**_in_proc({process.parent for process in found.values()} - found.keys()), **found}


def by_parent(processes: Processes) -> Mapping[int, Sequence[Process]]:
    """Return the children of each process that has some."""
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    return children


def user_of(pid: int) -> int | None:
    """Return the id of the user that PID runs as; None if it is gone."""
    if not IN_PROC:
        return _user_by_psutil(pid)
    with suppress(OSError):
        found = re.search(r"^Uid:\s+\d+\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) if found else None
    return None


def directory_of(pid: int) -> Path | None:
    """Return the working directory of PID; None where it may not be seen."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cwd").readlink()
    return None


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that PID was started with; empty where it may not be seen."""
    with suppress(OSError):
        entries = _content(f"/proc/{pid}/environ").decode("utf-8", "replace").split("\0")
        return dict(entry.split("=", 1) for entry in entries if "=" in entry)
    return {}


def open_files(pid: int) -> OpenFiles | None:
    """Return how many files PID has open; None where that may not be seen."""
    with suppress(OSError):
        held = len(os.listdir(f"/proc/{pid}/fd"))
        found = re.search(rb"^Max open files\s+(\d+)", _content(f"/proc/{pid}/limits"), re.MULTILINE)
        return OpenFiles(held, int(found[1])) if found else None
    return None


def _with(marks: Iterable[bytes]) -> Iterator[int]:
    # Hundreds of processes, of most of which nothing else is read.
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                words = _content(f"/proc/{name}/cmdline")
                if words and any(mark in words for mark in marks):
                    yield int(name)


def _in_proc(pids: Iterable[int]) -> dict[int, Process]:
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    found = {}
    for pid in pids:
        # Those that end meanwhile are left out.
        with suppress(OSError):
            # The name of the program stands in brackets and may hold anything (proc(5)).
            fields = _content(f"/proc/{pid}/stat").rpartition(b")")[2].split()
            words = os.fsdecode(_content(f"/proc/{pid}/cmdline").rstrip(b"\0"))
            argv = tuple(words.split("\0")) if words else ()
            found[pid] = Process(pid, int(fields[1]), now - int(fields[19]) / TICKS, fields[0] == b"Z", argv)
    return found


def _content(path: str) -> bytes:
    # A third of the time that open() takes.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = block = os.read(descriptor, 1 << 16)
        while len(block) == 1 << 16:
            block = os.read(descriptor, 1 << 16)
            content += block
        return content
    finally:
        os.close(descriptor)


# psutil is imported late, as in process_tree.


def _by_psutil() -> Iterator[Process]:
    import psutil

    now = time.time()
    for process in psutil.process_iter(["ppid", "create_time", "status", "cmdline"]):
        found = process.info
        is_zombie = found["status"] == psutil.STATUS_ZOMBIE
        argv = tuple(found["cmdline"] or ())
        yield Process(process.pid, found["ppid"] or 0, now - (found["create_time"] or now), is_zombie, argv)


def _user_by_psutil(pid: int) -> int | None:
    import psutil

    try:
        return int(psutil.Process(pid).uids().effective)
    except psutil.Error:
        return None
