"""Operations on a name in a directory that is given by descriptor; trusted_walk.py finds the directory."""

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
_MOST_ROUNDS = 1000
_LARGEST_FILE = 64 * 1024 * 1024


@contextmanager
def closing(descriptor: int) -> Iterator[int]:
    """Close `descriptor` on exit."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def content(directory: int, name: str) -> bytes | None:
    """Return the content of the file `name`; None if it is not a regular file."""
    # Non-blocking, and its type is checked by descriptor: a pipe may have taken the file's place.
    descriptor = os.open(name, FLAGS, dir_fd=directory)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > _LARGEST_FILE:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return file.readall()


def give(descriptor: int, mode: int, owner: int, group: int) -> None:
    """Set the owner of the open `descriptor`, and only then its mode."""
    if (owner, group) != (AS_CREATED, AS_CREATED):
        os.fchown(descriptor, owner, group)
    os.fchmod(descriptor, mode)


def hand_over(directory: int, name: str, owner: int, group: int) -> None:
    """Give the directory `name`, and the files in it that its owner created, to `owner` and `group`.

    Skips everything but regular files with a single name, because the former owner may have placed links to other
    files. The directory comes last, so that an interrupted call can be repeated.
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


def remove_below(directory: int, name: str) -> None:
    """Remove `name` and everything below it, whoever owns it; a link is removed, never followed."""
    top = _directory(directory, name)
    if top is None:
        return
    with closing(top):
        # Directories that are too deep arrive here from below. An attacker could add to them for ever.
        for _ in range(_MOST_ROUNDS):
            if not _empty(top, top, 1):
                break
    os.rmdir(name, dir_fd=directory)


def _empty(directory: int, top: int, depth: int) -> bool:
    """Remove everything in `directory`; return whether there was anything."""
    children = os.listdir(directory)
    for child in children:
        # Another process may be removing the same.
        with suppress(FileNotFoundError):
            _remove(directory, child, top, depth)
    return bool(children)


def _remove(directory: int, name: str, top: int, depth: int) -> None:
    opened = _directory(directory, name)
    if opened is None:
        return
    with closing(opened):
        if depth >= _DEEPEST:
            # Each level holds a descriptor open, so what is below continues at the top.
            os.rename(name, f".procman-{os.urandom(8).hex()}", src_dir_fd=directory, dst_dir_fd=top)
            return
        _empty(opened, top, depth + 1)
    os.rmdir(name, dir_fd=directory)


def _directory(directory: int, name: str) -> int | None:
    """Open the directory `name`; remove anything else and return None."""
    try:
        return os.open(name, LIST, dir_fd=directory)
    except OSError as error:
        if error.errno not in NOT_A_DIRECTORY:
            raise
    os.unlink(name, dir_fd=directory)
    return None
