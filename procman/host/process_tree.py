"""Processes with all below them.

The kernel's own lists of children are read by hand where it keeps them: psutil can find children only by reading every
process of the host, 80 ms for a thousand processes, where one `procman status` takes 100 ms.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from procman.host.process import content

LISTS_CHILDREN = os.path.exists("/proc/thread-self/children")
"""Whether the kernel was built to list children (CONFIG_PROC_CHILDREN, proc(5))."""

ChildrenOf = Callable[[int], Iterable[int]]
"""Returns the children of a process; none of one that is gone."""


def children_finder() -> ChildrenOf:
    """Return what finds the children of a process, for use at once: it may have listed all processes already."""
    return _listed_children if LISTS_CHILDREN else _children_by_psutil()


def tree_of(pid: int, children_of: ChildrenOf) -> list[int]:
    """Return `pid` and all processes below it."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting.extend(children_of(found[-1]))
    return found


def _listed_children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        # A child is listed with the thread that started it.
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, content(pid, f"task/{thread}/children").split())
    except OSError:
        pass
    return found


def _children_by_psutil() -> ChildrenOf:
    import psutil

    found: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        found.setdefault(process.info["ppid"], []).append(process.pid)
    return lambda pid: found.get(pid, ())
