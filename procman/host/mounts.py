"""Find how a path is mounted for a process, which may have mounts of its own."""

from __future__ import annotations

import re
from pathlib import Path

from procman.host.process import content

ESCAPE = re.compile(r"\\([0-7]{3})")

MOUNT_POINT, OPTIONS = 4, 5
"""Indexes of fields in /proc/PID/mountinfo (proc_pid_mountinfo(5))."""


def is_read_only(pid: int, path: Path) -> bool:
    """Return whether `path` is on a read-only mount or file system for process `pid`; False without permission."""
    try:
        lines = content(pid, "mountinfo").decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return False
    found: tuple[int, str] = (0, "")
    for line in lines:
        mount, _, file_system = line.partition(" - ")
        fields = mount.split()
        place = Path(ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), fields[MOUNT_POINT]))
        # A later mount at the same place hides the earlier one.
        if path.is_relative_to(place) and len(place.parts) >= found[0]:
            found = len(place.parts), f"{fields[OPTIONS]},{file_system.split()[-1]}"
    return "ro" in found[1].split(",")
