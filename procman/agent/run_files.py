"""Read and write files in the program's run directory: atomically, following no link and never blocking."""

import os

from .light_typing import Optional

# Saved before eventlet replaces them in the module.
_open, _read, _write, _close = os.open, os.read, os.write, os.close

FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def replace(path: str, text: str, mode: int = 0o644) -> None:
    """Replace the file at `path` with `text`, by default readable for everyone; on OSError the old file remains."""
    new = path + ".new"
    try:
        _put(new, os.O_TRUNC, text, mode)
        os.rename(new, path)
    except OSError:
        try:
            os.unlink(new)
        except OSError:
            pass
        raise


def append(path: str, text: str, most_bytes: int) -> None:
    """Append `text` to the file at `path`; first rename it to PATH.1 if it would exceed `most_bytes`."""
    try:
        if os.lstat(path).st_size + len(text) > most_bytes:
            os.rename(path, path + ".1")
    except FileNotFoundError:
        pass
    _put(path, os.O_APPEND, text)


def read(path: str, most_bytes: int) -> Optional[str]:
    """Return the text of the file at `path`, or None if there is none; raise OSError or ValueError if unreadable."""
    content = read_bytes(path, most_bytes)
    return None if content is None else content.decode("utf-8")


def read_bytes(path: str, most_bytes: int) -> Optional[bytes]:
    """Return the content of the file at `path`, or None if there is none; raise OSError if unreadable."""
    try:
        descriptor = _open(path, os.O_RDONLY | FLAGS)
    except FileNotFoundError:
        return None
    try:
        return _read(descriptor, most_bytes)
    finally:
        _close(descriptor)


def create(path: str) -> int:
    """Create a file at `path`, readable for everyone, in place of any other there; return its descriptor."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    descriptor = _open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | FLAGS, 0o644)
    os.fchmod(descriptor, 0o644)  # whatever the program's umask is
    return descriptor


def _put(path: str, how: int, text: str, mode: int = 0o644) -> None:
    descriptor = _open(path, os.O_WRONLY | os.O_CREAT | FLAGS | how, mode)
    try:
        os.fchmod(descriptor, mode)  # whatever the program's umask is
        content = text.encode("utf-8")
        while content:
            content = content[_write(descriptor, content) :]
    finally:
        _close(descriptor)
