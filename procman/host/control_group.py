"""Find the processes of a unit, in the control group that systemd keeps them in (cgroups(7))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOTS = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
"""Where systemd's hierarchy is mounted: with version 1, in hybrid mode, and with version 2."""

MOST_GROUPS = 1000


def processes_of(control_group: str) -> list[int]:
    """Return the processes of a unit, by its property `ControlGroup`, and of the groups that it made below it."""
    if not control_group.strip("/"):
        return []
    for root in ROOTS:
        directory = Path(root + control_group)
        if directory.is_dir():
            return sorted({pid for group in _groups(directory) for pid in _listed(group)})
    return []


def _groups(directory: Path) -> Iterator[Path]:
    for number, (path, _, _) in enumerate(os.walk(directory)):
        if number < MOST_GROUPS:
            yield Path(path)


def _listed(group: Path) -> list[int]:
    # A group that ends meanwhile has no processes left.
    with suppress(OSError):
        return [int(line) for line in (group / "cgroup.procs").read_text().split()]
    return []
