"""Reads and writes in the program's run directory: whole files or none, no link followed, nothing waited for."""

import os
from typing import Optional

# Taken before eventlet puts its own into the module.
_open, _read, _write, _close = os.open, os.read, os.write, os.close

FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def replace(path: str, text: str) -> None:
    """Put TEXT at PATH, for everyone to read; raises OSError, and then what was there is there still."""
    new = path + ".new"
    try:
        _put(new, os.O_TRUNC, text)
        os.rename(new, path)
    except OSError:
        try:
            os.unlink(new)
        except OSError:
            pass
        raise


def append(path: str, text: str, most_bytes: int) -> None:
    """Add TEXT to the file at PATH; one that has more than MOST_BYTES is put aside as PATH.1 before."""
    try:
        if os.lstat(path).st_size + len(text) > most_bytes:
            os.rename(path, path + ".1")
    except FileNotFoundError:
        pass
    _put(path, os.O_APPEND, text)


def read(path: str, most_bytes: int) -> Optional[str]:
    """Return what stands at PATH; None where there is nothing. Raises OSError or ValueError where it cannot be read."""
    try:
        descriptor = _open(path, os.O_RDONLY | FLAGS)
    except FileNotFoundError:
        return None
    try:
        return _read(descriptor, most_bytes).decode("utf-8")
    finally:
        _close(descriptor)


def _put(path: str, how: int, text: str) -> None:
    descriptor = _open(path, os.O_WRONLY | os.O_CREAT | FLAGS | how, 0o644)
    try:
        os.fchmod(descriptor, 0o644)  # whatever the program's umask is
        content = text.encode("utf-8")
        while content:
            content = content[_write(descriptor, content) :]
    finally:
        _close(descriptor)
