"""A directory tree as comparable data."""

from __future__ import annotations

import re
import stat
from pathlib import Path

Snapshot = dict[str, tuple[object, ...]]


def contents(base: Path) -> Snapshot:
    """Return type, mode, owner and content of everything below `base`, but not the lock's content and backup times."""
    found: Snapshot = {}
    for path in sorted(base.rglob("*")):
        status = path.lstat()
        name = re.sub(r"set-aside/\d{8}T\d{6}Z", "set-aside/TIME", str(path.relative_to(base)))
        assert name not in found, f"two backups of {name}"
        found[name] = (stat.filemode(status.st_mode), status.st_uid, status.st_gid, _content(path))
    return found


def identities(base: Path) -> Snapshot:
    """Return inodes and times below `base`, which change with every write, even of the same bytes."""
    found: Snapshot = {}
    for path in (base, *sorted(base.rglob("*"))):
        status = path.lstat()
        if path.name != "lock":
            found[str(path)] = (status.st_ino, status.st_mode, status.st_uid, status.st_mtime_ns, status.st_ctime_ns)
    return found


def _content(path: Path) -> str | bytes | None:
    if path.is_symlink():
        return str(path.readlink())
    return path.read_bytes() if path.is_file() and path.name != "lock" else None
