"""Which files processes hold open for writing, as /proc shows them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

DELETED = " (deleted)"
"""What the kernel appends to the name of a file that is gone (proc(5))."""


def written_by(pids: Iterable[int]) -> set[Path]:
    """Return the files and directories that the processes hold open for writing; of processes of others only to root.

    Pipes and sockets are none, nor is a file that has been removed.
    """
    return {path for pid in pids for path in _written_by(Path("/proc", str(pid)))}


def _written_by(process: Path) -> Iterable[Path]:
    try:
        descriptors = [*(process / "fd").iterdir()]
    except OSError:
        return
    for descriptor in descriptors:
        try:
            name = str(descriptor.readlink())
            is_written = _flags(process / "fdinfo" / descriptor.name) & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)
            is_file = stat.S_ISREG(descriptor.stat().st_mode)
        except OSError:
            # Closed, or the process has ended.
            continue
        if is_written and is_file and not name.endswith(DELETED):
            yield Path(name)


def _flags(information: Path) -> int:
    found = re.search(r"^flags:\s+0?([0-7]+)$", information.read_text(), re.MULTILINE)
    return int(found[1], 8) if found else os.O_RDONLY
