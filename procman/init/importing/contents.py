"""Read a file of an existing deployment: bounded, and only a regular file, because it may be anything."""

from __future__ import annotations

import glob
import os
import stat
from pathlib import Path

from procman.errors import ProcmanError

LARGEST = 1 << 20
"""Bytes."""

MOST_WILDCARDS = 3
"""Parts of a pattern; more of them can match every file of a host."""


def content_of(path: Path, largest: int = LARGEST) -> str:
    """Return the text of the file at `path`. Raises ProcmanError if that is impossible, or it has more bytes."""
    try:
        # Not blocked by a FIFO.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ProcmanError(f"{path}: not a regular file", hint="Name the file itself.")
            # None from a file of the kernel that has nothing to read yet, such as /proc/kmsg.
            content = file.read(largest + 1) or b""
    except FileNotFoundError:
        raise ProcmanError(f"{path} does not exist", hint="Correct the path.") from None
    except OSError as error:
        remedy = "Run the same command with sudo." if isinstance(error, PermissionError) else ""
        raise ProcmanError(f"{path}: cannot be read: {error.strerror}", hint=remedy) from None
    if len(content) > largest:
        hint = "Name a smaller file, with only what starts Celery."
        raise ProcmanError(f"{path}: larger than {largest >> 20} MiB", hint=hint)
    if b"\0" in content:
        raise ProcmanError(f"{path}: not a text file, because it contains a NUL byte", hint="Name another file.")
    return content.decode("utf-8", "surrogateescape")


def is_too_wide(pattern: str) -> bool:
    """Return whether the search for the files of `pattern` could take minutes."""
    return sum(map(glob.has_magic, pattern.split("/"))) > MOST_WILDCARDS
