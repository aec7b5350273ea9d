"""The directories that are empty after a boot: in memory, or cleaned by systemd's tmpfiles.d(5)."""

from __future__ import annotations

from pathlib import Path

EMPTIED = tuple(map(Path, ("/run", "/var/run", "/tmp", "/dev/shm")))  # noqa: S108 - a list of directories to avoid
# /var/tmp is kept across boots (file-hierarchy(7)).


def is_emptied_at_boot(path: Path) -> bool:
    """Return whether a file at `path` is lost at the next boot."""
    return any(path.is_relative_to(directory) for directory in EMPTIED)
