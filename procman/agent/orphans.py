"""Reap the processes that tasks leave behind, if the program is process 1 of a container, whose duty that is.

A process whose parent has ended becomes a child of process 1. Nothing tells it apart from a child that process 1 has
started itself, and taking the exit status of such a one would break a pool or make a failed command look successful. So
only a program in whose main process no task runs reaps, and only what neither billiard nor multiprocessing knows.
"""

import os
import sys
from typing import Dict, Iterator, Set

from .process_stat import PARENT, stat_fields

# Saved before gevent or eventlet replace it.
_waitpid = os.waitpid

ZOMBIE = "Z"

LISTS = ("billiard.process", "multiprocessing.process")
"""Modules with the set `_children`, of what was started and not waited for yet: Python 3.6 to 3.14, billiard 3.6, 4."""

LOOKS = 2
"""How often in a row a process is seen to have ended before it is reaped: who has started it waits for it sooner."""


class OrphanReaper:
    """Looks for ended orphans, once for each heartbeat."""

    def __init__(self) -> None:
        self._own = os.getpid()
        self._seen: Dict[int, int] = {}

    def look(self) -> None:
        """Reap the orphans that had ended at the last looks already; only as process 1."""
        if self._own != 1:
            return
        ended = set(_ended_children(self._own)) - _known()
        self._seen = {pid: self._seen.get(pid, 0) + 1 for pid in ended}
        for pid, looks in self._seen.items():
            if looks > LOOKS:
                try:
                    _waitpid(pid, os.WNOHANG)
                except OSError:
                    pass  # another part of the program has waited for it


def _ended_children(parent: int) -> Iterator[int]:
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = stat_fields(name)
        if fields[:1] == [ZOMBIE] and fields[PARENT] == str(parent):
            yield int(name)


def _known() -> Set[int]:
    found = set()
    for name in LISTS:
        children = getattr(sys.modules.get(name), "_children", ())
        found |= {getattr(child, "pid", 0) for child in list(children)}
    return found
