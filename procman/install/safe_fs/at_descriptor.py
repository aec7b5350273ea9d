"""What is done by descriptor to a name in a directory, and to all below it; `paths` decides which directory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from procman.install.safe_fs.file_info import AS_CREATED
from procman.install.safe_fs.trusted_walk import NOT_A_DIRECTORY
from procman.install.safe_fs.untrusted_file import FLAGS

LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_DEEPEST = 64
_LARGEST_FILE = 64 * 1024 * 1024


@contextmanager
def closing(descriptor: int) -> Iterator[int]:
    """Close DESCRIPTOR in the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def content(directory: int, name: str) -> bytes | None:
    """Return the content of the file NAME; None if it is none."""
    # Not blocking, and asked again by descriptor: a pipe may have taken the file's place.
    descriptor = os.open(name, FLAGS, dir_fd=directory)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > _LARGEST_FILE:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return file.readall()


def give(descriptor: int, mode: int, owner: int, group: int) -> None:
    """Give what is open as DESCRIPTOR its owner, and only then its mode."""
    if (owner, group) != (AS_CREATED, AS_CREATED):
        os.fchown(descriptor, owner, group)
    os.fchmod(descriptor, mode)


def hand_over(directory: int, name: str, owner: int, group: int) -> None:
    """Give the directory NAME, and the files in it that its owner has made, to OWNER and GROUP.

    Only regular files that have no other name: what else the former owner put there leads elsewhere, or may. The
    directory comes last, so that all of it can be done again after an interruption.
    """
    with closing(os.open(name, LIST, dir_fd=directory)) as descriptor:
        former = os.fstat(descriptor).st_uid
        for child in os.listdir(descriptor):
            with suppress(FileNotFoundError):
                _hand_over_file(descriptor, child, former, owner, group)
        os.fchown(descriptor, owner, group)


def _hand_over_file(directory: int, name: str, former: int, owner: int, group: int) -> None:
    try:
        opened = os.open(name, FLAGS, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        return  # a link, or a socket
    with closing(opened) as descriptor:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_uid == former and status.st_nlink == 1:
            os.fchown(descriptor, owner, group)


def remove_below(directory: int, name: str, depth: int = 0) -> None:
    """Remove NAME and all below it, whoever owns that: a link is removed, never followed."""
    try:
        descriptor = os.open(name, LIST, dir_fd=directory)
    except OSError as error:
        if error.errno not in NOT_A_DIRECTORY:
            raise
        os.unlink(name, dir_fd=directory)
        return
    with closing(descriptor):
        if depth > _DEEPEST:
            raise OSError(errno.ELOOP, "its directories are nested too deep; remove them by hand")
        for child in os.listdir(descriptor):
            # Somebody else may be removing the same.
            with suppress(FileNotFoundError):
                remove_below(descriptor, child, depth + 1)
    os.rmdir(name, dir_fd=directory)
