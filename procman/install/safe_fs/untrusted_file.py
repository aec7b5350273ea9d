"""Files that belong to a program and not to procman: read with suspicion, whoever procman runs as (S3)."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""No link, and no wait for the other end of a pipe. The directory above is in one of root's, so no link either."""


class UntrustedFile(Exception):
    """It is there, but not what a program of procman's would have written."""


def read_untrusted(path: Path, owners: Collection[int] | None, most: int) -> bytes | None:
    """Return the last `most` bytes of a regular file of one of `owners`, or of anyone; None if there is none.

    Raises UntrustedFile for what is something else, belongs to another user or cannot be opened.

    Longer files are cut in front: the first line of the answer may be half a line.
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
            raise UntrustedFile(f"{path} is no regular file")
        if owners is not None and status.st_uid not in owners:
            raise UntrustedFile(f"{path} belongs to uid {status.st_uid}")
        return os.pread(descriptor, most, max(0, status.st_size - most))
    finally:
        os.close(descriptor)
