"""The cache of downloads and of archives made from them, which the hosts of all test runs share."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"
WHEELS = CACHE / "wheels"

OWN = ""
"""The suite that means this machine's own Debian."""


@contextmanager
def filling_the_cache(suite: str = OWN) -> Iterator[None]:
    """Allow one process at a time to fill the part of the cache that is for hosts of `suite`."""
    (CACHE / "host" / suite).mkdir(parents=True, exist_ok=True)
    WHEELS.mkdir(exist_ok=True)
    with (CACHE / "host" / suite / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def keep_the_latest(made: Path, pattern: str, kept: int) -> None:
    """Note that `made` was used, and remove all but the `kept` entries beside it that were used last."""
    os.utime(made)
    for old in sorted(made.parent.glob(pattern), key=lambda path: path.stat().st_mtime)[:-kept]:
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
