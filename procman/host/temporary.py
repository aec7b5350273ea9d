"""The directories whose content is gone after a boot: in memory, or emptied by systemd's tmpfiles.d(5)."""

from __future__ import annotations

from pathlib import Path

EMPTIED = tuple(map(Path, ("/run", "/var/run", "/tmp", "/dev/shm")))  # noqa: S108 - these are what to stay away from
# Not the /tmp below /var, which outlives a boot (file-hierarchy(7)).


def is_emptied_at_boot(path: Path) -> bool:
    """Say whether a file at `path` is gone after the next boot."""
    return any(path.is_relative_to(directory) for directory in EMPTIED)
