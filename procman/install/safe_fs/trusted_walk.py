"""The walk from `/` to a directory, by descriptor, following no link that somebody else could have planted (S3)."""

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
"""What open(2) answers for a link or a file, asked for a directory and not to follow."""


class Walk:
    """Directories held open by descriptor; the way to each was checked once.

    Every directory on the way must belong to root or the caller, and be writable by everybody only with the sticky
    bit (compare `unsafe_transition` in systemd's chase.c). A link is followed only if it belongs to them and stands in
    a directory that nobody else can write: there the sticky bit does not help. Raises PathError, and OSError as the
    system calls do.
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
        """Return a descriptor of the directory PATH, good for `dir_fd` only; it stays the walk's own."""
        return self._open[self._walk(path, links=0)]

    def target(self, link: Path) -> Path:
        """Return where the trusted LINK points; not walked, and not normalised."""
        here = self._walk(link.parent, links=0)
        return self._target(here, link.name)

    def check_private(self, path: Path) -> None:
        """Raise PathError if somebody else can choose what is opened by a name in the directory PATH.

        So can whoever writes to it, or has left a link or a pipe there: process managers open logs by name, as root.
        """
        directory = self.descriptor(path)
        if os.fstat(directory).st_mode & 0o022:
            raise PathError(f"{path} can be written by others than {self.trusted_names()}", hint=f"chmod go-w {path}")
        listed = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
        try:
            for name in os.listdir(listed):  # noqa: PTH208 - by descriptor
                found = os.stat(name, dir_fd=listed, follow_symlinks=False)
                harmless = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
                if not harmless and found.st_uid not in self.trusted:
                    who = user_name(found.st_uid)
                    raise PathError(
                        f"{path / name} is a link or a pipe that {who} has left there", hint=f"rm {path / name}"
                    )
        finally:
            os.close(listed)

    def forget(self, path: Path) -> None:
        """Close PATH and all below it: they are gone, or elsewhere now."""
        gone = self._walk(path.parent, links=0) / path.name
        for opened in [opened for opened in self._open if opened == gone or gone in opened.parents]:
            os.close(self._open.pop(opened))
        self._really = {asked: real for asked, real in self._really.items() if real in self._open}

    def trusted_names(self) -> str:
        """Name root and the caller, for a message."""
        return " and ".join(user_name(user) for user in sorted(self.trusted))

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
                f"{path} belongs to {user_name(status.st_uid)}; run as {user_name(os.geteuid())}, procman works only "
                f"below directories of {self.trusted_names()}",
                hint=f"choose another directory, or give that one to root: chown root {path}",
            )
        if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            raise PathError(f"{path} can be written by everybody", hint=f"chmod o-w {path}")

    def _target(self, here: Path, name: str) -> Path:
        directory = self._open[here]
        link, holder = os.stat(name, dir_fd=directory, follow_symlinks=False), os.fstat(directory)
        if not stat.S_ISLNK(link.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not {link.st_uid, holder.st_uid} <= self.trusted or holder.st_mode & 0o022:
            raise PathError(
                f"{here / name} is a symbolic link that others than {self.trusted_names()} could have made",
                hint=f"name the directory it points to instead, or see who may write in {here}",
            )
        return here / os.readlink(name, dir_fd=directory)
