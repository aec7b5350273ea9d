"""One installation at a time in each scope (R3)."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from procman.errors import ProcmanError
from procman.install.safe_fs.file_info import PathError
from procman.install.safe_fs.tree import Tree
from procman.install.state import scope_directories

_LOOKS_PER_SECOND = 10
_SECONDS_BETWEEN_WORDS = 10


class LockedError(ProcmanError):
    """Somebody else is installing, and has not finished in time."""


@contextmanager
def hold_lock(shared_state: Path, wait_seconds: float, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the installation lock of the scope that has its state in SHARED_STATE, which is made if it is missing.

    Waits at most WAIT_SECONDS for somebody else's end, and says so to PROGRESS; then raises LockedError, which names
    the holder. Read what is installed only once the lock is held.
    """
    descriptor = _acquire(shared_state, wait_seconds, progress)
    try:
        _sign(descriptor, _own_name())
        yield
    finally:
        # Emptied while it is still ours, so that nobody is told of a holder that is gone.
        _sign(descriptor, b"")
        os.close(descriptor)


def _sign(descriptor: int, name: bytes) -> None:
    # A full disk must not keep anybody from uninstalling: the lock holds without a name.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, name, 0)


def _own_name() -> bytes:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "command": command, "since": since}).encode("ascii")


def _acquire(shared_state: Path, wait_seconds: float, progress: Callable[[str], None]) -> int:
    deadline, next_word = time.monotonic() + wait_seconds, time.monotonic()
    while True:
        descriptor, holder = _try(shared_state)
        if holder is None:
            return descriptor
        now = time.monotonic()
        if now >= deadline:
            raise LockedError(
                f"{holder} is at work on {shared_state}",
                hint="run this again when it has ended; the lock ends with its process",
            )
        if now >= next_word:
            progress(f"waiting for {holder}")
            next_word = now + _SECONDS_BETWEEN_WORDS
        time.sleep(min(1 / _LOOKS_PER_SECOND, deadline - now))


def _try(shared_state: Path) -> tuple[int, str | None]:
    """Return the locked descriptor; or none and who holds the lock."""
    while True:
        descriptor = _open(shared_state)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            return -1, holder
        with Tree() as tree:
            if tree.is_at(shared_state / scope_directories.LOCK, descriptor):
                return descriptor, None
        # `uninstall --purge` has removed the file since it was opened: locking it keeps nobody out.
        os.close(descriptor)


def _open(shared_state: Path) -> int:
    while True:
        with Tree() as tree:
            scope_directories.establish(tree, shared_state)
            try:
                return tree.open_lock(shared_state / scope_directories.LOCK)
            except PathError:
                with Tree() as now:
                    if now.has_directory(shared_state):
                        raise


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"`{holder['command']}` (process {holder['pid']}, since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        # It has the lock, but has not yet written its name.
        return "another procman"
