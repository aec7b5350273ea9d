"""Count the processes of this program's cgroup that the kernel killed for lack of memory (cgroup v2)."""

import os
from collections import deque
from time import monotonic
from typing import Deque, Optional, Tuple

ROOT = "/sys/fs/cgroup"
OWN = "/proc/self/cgroup"

NOTICED_SECONDS = 3.0
"""How long before a process is reaped the kernel may have counted its kill."""


class Kills:
    """The count at several moments: `look` is called by one thread, `has_risen` by another."""

    def __init__(self, root: str = ROOT, own: str = OWN) -> None:
        self._path = _path(root, own)
        self._seen: Deque[Tuple[float, int]] = deque(maxlen=5)
        self.look()

    def look(self) -> None:
        """Remember the present count."""
        count = self._count()
        if count is not None:
            self._seen.append((monotonic(), count))

    def has_risen(self) -> bool:
        """Return whether the kernel has just killed a process of the cgroup; False if that is unknown."""
        now, count = monotonic(), self._count()
        before = [seen for at, seen in list(self._seen) if now - at > NOTICED_SECONDS] or [
            seen for _, seen in list(self._seen)[:1]
        ]
        if count is None or not before:
            return False
        self._seen.clear()
        self._seen.append((now, count))
        return count > before[-1]

    def _count(self) -> Optional[int]:
        if self._path is None:
            return None
        try:
            with open(self._path, encoding="ascii") as file:
                lines = file.read(4096).splitlines()
        except (OSError, ValueError):
            return None
        counts = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
        return int(counts[0]) if counts and counts[0].isdigit() else None


def _path(root: str, own: str) -> Optional[str]:
    try:
        with open(own, encoding="utf-8") as file:
            lines = file.read(65536).splitlines()
    except (OSError, ValueError):
        return None
    # The line of cgroup v2 has the number 0 and no controllers (cgroups(7)).
    places = [line[3:] for line in lines if line.startswith("0::/")]
    # memory.events.local leaves out the cgroups below.
    return os.path.join(root, places[0].lstrip("/"), "memory.events.local") if places else None
