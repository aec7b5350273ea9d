"""A process with all below it and the memory they use: from Linux's /proc, or by psutil where that does not tell."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

IN_PROC = os.path.exists("/proc/thread-self/children") and os.path.exists("/proc/self/smaps_rollup")
"""Linux 4.14 and later have both files, unless they were configured away (proc(5))."""

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

Children = Callable[[int], Iterable[int]]
"""Tells the children of a process; none of one that is gone."""


def children() -> Children:
    """Return what tells the children of a process, for use at once: it may have listed all processes already."""
    return _children_in_proc if IN_PROC else _children_by_psutil()


def tree(pid: int, children_of: Children) -> list[int]:
    """Return PID and all processes below it."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting.extend(children_of(found[-1]))
    return found


def memory(pid: int) -> tuple[int, bool] | None:
    """Return how many bytes PID uses, and whether that is its share (PSS); where that may not be read, it is the RSS.

    None: there is no such process any more.
    """
    return _memory_in_proc(pid) if IN_PROC else _memory_by_psutil(pid)


def _children_in_proc(pid: int) -> list[int]:
    found: list[int] = []
    try:
        # A child is listed with the thread that started it.
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, _content(f"/proc/{pid}/task/{thread}/children").split())
    except OSError:
        pass
    return found


def _memory_in_proc(pid: int) -> tuple[int, bool] | None:
    try:
        try:
            share = _content(f"/proc/{pid}/smaps_rollup").partition(b"\nPss:")[2]
            return int(share.split(maxsplit=1)[0]) * 1024, True
        except PermissionError:
            return int(_content(f"/proc/{pid}/statm").split()[1]) * PAGE_BYTES, False
    except OSError:
        return None


def _content(path: str) -> bytes:
    # The kernel writes such a file anew for each reader and gives it a page at a time.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = block = os.read(descriptor, 4096)
        while block:
            block = os.read(descriptor, 4096)
            content += block
    finally:
        os.close(descriptor)
    return content


# psutil is imported late: that alone takes longer than asking /proc about a hundred programs.


def _children_by_psutil() -> Children:
    import psutil

    found: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        found.setdefault(process.info["ppid"], []).append(process.pid)
    return lambda pid: found.get(pid, ())


def _memory_by_psutil(pid: int) -> tuple[int, bool] | None:
    import psutil

    try:
        process = psutil.Process(pid)
        try:
            # Only Linux tells the share.
            share = getattr(process.memory_full_info(), "pss", None)
        except psutil.AccessDenied:
            share = None
        return (process.memory_info().rss, False) if share is None else (share, True)
    except psutil.Error:
        return None
