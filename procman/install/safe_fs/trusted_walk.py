"""Walks from `/` to a directory by descriptor, following no link that an untrusted user could have planted (S3)."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from procman.accounts import user_name
from procman.install.safe_fs.file_info import PathError

_OPEN = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
_MOST_LINKS = 8

NOT_A_DIRECTORY = (errno.ENOTDIR, errno.ELOOP)
"""How open(2) fails for a link or a file with O_DIRECTORY and O_NOFOLLOW."""


class Walk:
    """Directories held open by descriptor; the path to each was checked once.

    Every directory on the path must belong to root or the caller, and may be world-writable only with the sticky bit
    (compare `unsafe_transition` in systemd's chase.c). A link is followed only if it belongs to root or the caller and
    is in a directory that no other user can write to, not even with the sticky bit. Raises PathError, and OSError from
    the system calls.
    """

    def __init__(self) -> None:
        self.trusted = frozenset({0, os.geteuid()})
        self._open: dict[Path, int] = {}
        self._really: dict[Path, Path] = {}

    def close(self) -> None:
        """Close every directory."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        self._really.clear()

    def descriptor(self, path: Path) -> int:
        """Return a descriptor of the directory `path`, for use as `dir_fd` only; the walk keeps and closes it."""
        return self._open[self._walk(path, links=0)]

    def target(self, link: Path) -> Path:
        """Return the target of the trusted `link`, which is neither walked nor normalised."""
        here = self._walk(link.parent, links=0)
        return self._target(here, link.name)

    def check_private(self, path: Path) -> None:
        """Raise PathError if an untrusted user controls what a name in the directory `path` refers to.

        That user can write to the directory, or has left a link or a pipe in it. Process managers open logs by name, as
        root.
        """
        directory = self.descriptor(path)
        if os.fstat(directory).st_mode & 0o022:
            raise PathError(f"{path} is writable by users other than {self.trusted_names()}", hint=f"chmod go-w {path}")
        listed = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
        try:
            for name in os.listdir(listed):  # noqa: PTH208 - by descriptor
                found = os.stat(name, dir_fd=listed, follow_symlinks=False)
                harmless = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
                if not harmless and found.st_uid not in self.trusted:
                    who = user_name(found.st_uid)
                    raise PathError(f"{path / name} is a link or a pipe owned by {who}", hint=f"rm {path / name}")
        finally:
            os.close(listed)

    def forget(self, path: Path) -> None:
        """Close `path` and everything below it, after it was removed or renamed."""
        gone = self._walk(path.parent, links=0) / path.name
        for opened in [opened for opened in self._open if opened == gone or gone in opened.parents]:
            os.close(self._open.pop(opened))
        self._really = {asked: real for asked, real in self._really.items() if real in self._open}

    def trusted_names(self) -> str:
        """Return the names of root and the caller, for a message."""
        return " or ".join(user_name(user) for user in sorted(self.trusted))

    def _walk(self, path: Path, links: int) -> Path:
        if path not in self._really:
            here = Path("/")
            if here not in self._open:
                self._enter(os.open("/", _OPEN), here)
            for name in path.parts[1:]:
                here = here.parent if name == ".." else self._step(here, name, links)
            self._really[path] = here
        return self._really[path]

    def _step(self, here: Path, name: str, links: int) -> Path:
        there = here / name
        if there not in self._open:
            try:
                descriptor = os.open(name, _OPEN, dir_fd=self._open[here])
            except OSError as error:
                if error.errno not in NOT_A_DIRECTORY or links >= _MOST_LINKS:
                    raise
                return self._walk(self._target(here, name), links + 1)
            self._enter(descriptor, there)
        return there

    def _enter(self, descriptor: int, path: Path) -> None:
        try:
            self._check(os.fstat(descriptor), path)
        except PathError:
            os.close(descriptor)
            raise
        self._open[path] = descriptor

    def _check(self, status: os.stat_result, path: Path) -> None:
        if status.st_uid not in self.trusted:
            raise PathError(
                f"{path} belongs to {user_name(status.st_uid)}; run as {user_name(os.geteuid())}, procman uses only "
                f"directories owned by {self.trusted_names()}",
                hint=f"choose another directory, or give this one to root: chown root {path}",
            )
        if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            raise PathError(f"{path} is writable by everyone", hint=f"chmod o-w {path}")

    def _target(self, here: Path, name: str) -> Path:
        directory = self._open[here]
        link, holder = os.stat(name, dir_fd=directory, follow_symlinks=False), os.fstat(directory)
        if not stat.S_ISLNK(link.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not {link.st_uid, holder.st_uid} <= self.trusted or holder.st_mode & 0o022:
            raise PathError(
                f"{here / name} is a symbolic link that users other than {self.trusted_names()} could have created",
                hint=f"use the directory it points to instead, or check who can write to {here}",
            )
        return here / os.readlink(name, dir_fd=directory)
