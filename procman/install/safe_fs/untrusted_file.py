"""Reads files that belong to a program, not to procman, without trusting them (S3)."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Follow no link, and do not wait for the other end of a pipe. The parent directory is in one of root's: no link."""


class UntrustedFile(Exception):
    """A file that exists but that the program cannot have written as expected."""


def read_untrusted(path: Path, owners: Collection[int] | None, most: int) -> bytes | None:
    """Return the last `most` bytes of a regular file owned by one of `owners` (None: by anyone); None if it is missing.

    The first line may be incomplete, because a longer file is cut at its beginning. Raises UntrustedFile if it is not a
    regular file, belongs to another user or cannot be opened.
    """
    try:
        descriptor = os.open(path, FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UntrustedFile(f"{path} cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UntrustedFile(f"{path} is not a regular file")
        if owners is not None and status.st_uid not in owners:
            raise UntrustedFile(f"{path} belongs to uid {status.st_uid}")
        return os.pread(descriptor, most, max(0, status.st_size - most))
    except OSError as error:
        raise UntrustedFile(f"{path} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
