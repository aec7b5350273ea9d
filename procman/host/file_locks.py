"""Find which process holds a record lock on a file, as any user may (/proc/locks, proc(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

MOST_BYTES = 4 * 1024 * 1024
"""Of /proc/locks: some 60,000 locks."""

_LOCK = re.compile(r"^\d+: POSIX +ADVISORY +WRITE (\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ", re.MULTILINE)

Holders = Mapping[tuple[int, int, int], int]
"""The process that holds a lock for writing, by the major and minor number of the file system and the inode."""


def lock_holders() -> Holders:
    """Return the holders of all record locks for writing; none if they cannot be read."""
    try:
        with Path("/proc/locks").open(encoding="ascii", errors="replace") as file:
            text = file.read(MOST_BYTES)
    except OSError:
        return {}
    return {(int(major, 16), int(minor, 16), int(inode)): int(pid) for pid, major, minor, inode in _LOCK.findall(text)}


def holder_of(path: Path, holders: Holders) -> int | None:
    """Return which process holds a lock on the file `path`; None if none does, or if that cannot be seen."""
    try:
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        inode = os.lstat(path.name, dir_fd=directory).st_ino
        device = _device_of(directory)
    except OSError:
        return None
    finally:
        os.close(directory)
    return holders.get((*device, inode)) if device else None


def _device_of(descriptor: int) -> tuple[int, int] | None:
    """Return the device that the kernel's lists use; on overlayfs and Btrfs, stat(2) returns another one."""
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    mount = re.search(r"^mnt_id:\s*(\d+)$", text, re.MULTILINE)
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    found = mount and re.search(rf"^{mount[1]} \d+ (\d+):(\d+) ", mounts, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else None
