"""The only code that uses paths as root: by directory descriptor (trusted_walk.py), whole files or none (R1)."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from procman.install.safe_fs.at_descriptor import LIST, closing, give, hand_over, remove_below
from procman.install.safe_fs.at_descriptor import content as content_of_file
from procman.install.safe_fs.file_info import AS_CREATED, Found, PathError
from procman.install.safe_fs.trusted_walk import NOT_A_DIRECTORY, Walk

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY)
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.procman-[0-9a-f]{16}", re.DOTALL)
_AS_ROOT = "run the same command as root, or as the user who installed"
_NO_SPACE = "free some space and run the same command again; no file is partly written"
_HINTS = {
    errno.EACCES: _AS_ROOT,
    errno.EPERM: _AS_ROOT,
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EROFS: "the file system is mounted read-only: see `findmnt` and the kernel log (`dmesg`)",
    errno.EIO: "the disk reported an error: see the kernel log (`dmesg`)",
}


def temporary_name(name: str) -> str:
    """Return an unpredictable temporary name for `name`, which `finished_name` recognises."""
    return f".{name}.procman-{os.urandom(8).hex()}"


def finished_name(name: str) -> str | None:
    """Return the final name for the temporary `name`; None if it is not one of ours."""
    match = _TEMPORARY.fullmatch(name)
    return (finished_name(match["name"]) or match["name"]) if match else None


class Tree:
    """Safe access to the file system; a context manager, because it holds directories open.

    Paths are absolute, and every call reaches them as `Walk` does. A writing call replaces the whole file, or fails and
    leaves it as it is; changes survive a power cut once `sync` has returned. Raises PathError.
    """

    def __init__(self) -> None:
        self._walk = Walk()
        self._unsynced: set[Path] = set()

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._walk.close()

    # Reading

    def look(self, path: Path) -> Found | None:
        """Return the file, directory or link at `path`, with a regular file's content; None if there is nothing."""
        with _path_errors(path, "read"):
            try:
                directory, name = self._place(path)
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                return None
            content = content_of_file(directory, name) if stat.S_ISREG(status.st_mode) else None
            return Found(content, stat.S_IFMT(status.st_mode), status.st_mode & 0o7777, status.st_uid, status.st_gid)

    def read_private(self, path: Path) -> bytes | None:
        """Return the content of a file that only root or the caller could have written; None if there is none."""
        found = self.look(path)
        if found is None:
            return None
        if found.content is None or found.owner not in self._walk.trusted or found.mode & 0o022:
            raise PathError(
                f"{path} is not trusted: users other than {self._walk.trusted_names()} could have written it",
                hint=f"check its owner and mode: ls -l {path}",
            )
        return found.content

    def has_directory(self, path: Path) -> bool:
        """Return whether `path` is a directory or a trusted link to one; only its parents must be safe."""
        with _path_errors(path, "read"):
            try:
                directory, name = self._place(path)
                status = os.stat(name or ".", dir_fd=directory, follow_symlinks=False)
                if stat.S_ISLNK(status.st_mode):
                    # This checks the link. Its target may belong to any user, like any directory here.
                    self._walk.target(path)
                    return stat.S_ISDIR(os.stat(name, dir_fd=directory).st_mode)
                return stat.S_ISDIR(status.st_mode)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def names(self, path: Path) -> list[str]:
        """Return the sorted names in the directory `path`; none if it does not exist."""
        with _path_errors(path, "read"):
            try:
                descriptor = os.open(".", LIST, dir_fd=self._walk.descriptor(path))
            except FileNotFoundError:
                return []
            with closing(descriptor):
                return sorted(os.listdir(descriptor))

    def read_link(self, path: Path) -> str | None:
        """Return the target of the trusted link at `path`; None if there is no link."""
        with _path_errors(path, "read"):
            try:
                self._walk.target(path)
                directory, name = self._place(path)
                return os.readlink(name, dir_fd=directory)
            except (FileNotFoundError, NotADirectoryError):
                return None

    # Writing

    def write(self, path: Path, content: bytes, mode: int, owner: int = AS_CREATED, group: int = AS_CREATED) -> None:
        """Write a whole file to `path`, replacing any file or link there."""
        with self._replacing(path) as (directory, temporary):
            # The file is empty and private until it has its owner and mode.
            descriptor = os.open(temporary, _CREATE, 0o600, dir_fd=directory)
            with closing(descriptor):
                give(descriptor, mode, owner, group)
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)

    def link(self, path: Path, target: str) -> None:
        """Create a symbolic link to `target` at `path`, replacing any link there."""
        with self._replacing(path) as (directory, temporary):
            os.symlink(target, temporary, dir_fd=directory)

    def make_directory(self, path: Path, mode: int, owner: int = AS_CREATED, group: int = AS_CREATED) -> bool:
        """Create the directory `path`, with its mode and owner from the start; return False if it exists."""
        if self.has_directory(path):
            return False
        with self._replacing(path) as (directory, temporary):
            os.mkdir(temporary, 0o700, dir_fd=directory)
            with closing(os.open(temporary, LIST, dir_fd=directory)) as descriptor:
                give(descriptor, mode, owner, group)
        return True

    def hand_over(self, path: Path, owner: int, group: int) -> None:
        """Give the directory `path`, and the files in it that its owner created, to `owner` and `group`."""
        with _path_errors(path, "given to another user"):
            directory, name = self._place(path)
            hand_over(directory, name, owner, group)

    def rename(self, path: Path, new: Path) -> None:
        """Rename `path` to `new`; for a directory, `new` must be unused or an empty directory."""
        with _path_errors(new, "written"):
            directory, name = self._place(path)
            new_directory, new_name = self._place(new)
            os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=new_directory)
            self._walk.forget(path)
            self._unsynced |= {path.parent, new.parent}

    def remove(self, path: Path) -> None:
        """Remove the file or link `path`, if it exists."""
        with _path_errors(path, "removed"), suppress(FileNotFoundError):
            directory, name = self._place(path)
            os.unlink(name, dir_fd=directory)
            self._unsynced.add(path.parent)

    def remove_directory(self, path: Path) -> bool:
        """Remove the directory `path` if it is empty; return whether it was removed."""
        with _path_errors(path, "removed"):
            try:
                directory, name = self._place(path)
                os.rmdir(name, dir_fd=directory)
            except OSError as error:
                if error.errno in (errno.ENOENT, *_NOT_EMPTY, *NOT_A_DIRECTORY):
                    return False
                raise
            self._walk.forget(path)
            self._unsynced.add(path.parent)
            return True

    def remove_tree(self, path: Path) -> None:
        """Remove `path` and everything below it, whoever owns it; a link is removed, never followed."""
        with _path_errors(path, "removed"), suppress(FileNotFoundError):
            directory, name = self._place(path)
            for last in (False, False, True):
                try:
                    remove_below(directory, name)
                    break
                except OSError as error:
                    # Another process may have added a file meanwhile.
                    if last or error.errno not in _NOT_EMPTY:
                        raise
            self._walk.forget(path)
            self._unsynced.add(path.parent)

    def sync(self) -> None:
        """Make every name added, changed or removed so far survive a power cut."""
        while self._unsynced:
            path = self._unsynced.pop()
            # A directory that has been removed since has nothing to sync.
            with _path_errors(path, "written"), suppress(FileNotFoundError):
                descriptor = os.open(".", LIST, dir_fd=self._walk.descriptor(path))
                with closing(descriptor):
                    os.fsync(descriptor)

    def open_lock(self, path: Path) -> int:
        """Open or create the private file `path` for `flock`; the caller closes the descriptor."""
        # 0600, because any user who can open a file can lock it and block everyone else.
        return self._open_own(path, os.O_RDWR, 0o600)

    def open_log(self, path: Path) -> int:
        """Open or create the file `path`, readable by all, for appending; the caller closes the descriptor."""
        descriptor = self._open_own(path, os.O_WRONLY | os.O_APPEND, 0o644)
        os.fchmod(descriptor, 0o644)
        return descriptor

    def _open_own(self, path: Path, flags: int, mode: int) -> int:
        with _path_errors(path, "opened"):
            directory, name = self._place(path)
            descriptor = os.open(name, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, mode, dir_fd=directory)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in self._walk.trusted:
            os.close(descriptor)
            raise PathError(f"{path} is not a file owned by {self._walk.trusted_names()}", hint=f"rm {path}")
        return descriptor

    def check_private(self, path: Path) -> None:
        """Raise PathError if others can write to the directory `path`, or have left links or pipes in it."""
        with _path_errors(path, "read"), suppress(FileNotFoundError):
            self._walk.check_private(path)

    def is_at(self, path: Path, descriptor: int) -> bool:
        """Return whether `path` still names the file that is open as `descriptor`."""
        with _path_errors(path, "read"):
            try:
                directory, name = self._place(path)
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                return False
            return os.path.samestat(found, os.fstat(descriptor))

    def _place(self, path: Path) -> tuple[int, str]:
        return self._walk.descriptor(path.parent), path.name

    @contextmanager
    def _replacing(self, path: Path) -> Iterator[tuple[int, str]]:
        with _path_errors(path, "written"):
            directory, name = self._place(path)
            temporary = temporary_name(name)
            try:
                yield directory, temporary
                os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with suppress(OSError):
                    remove_below(directory, temporary)
                raise
            self._unsynced.add(path.parent)


@contextmanager
def _path_errors(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PathError(f"{path} cannot be {done}: {error.strerror}", hint=_HINTS.get(error.errno or 0, "")) from error
