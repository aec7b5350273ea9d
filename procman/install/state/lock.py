"""The lock that allows one installation at a time in each scope (R3)."""

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

from procman.agent.strict_json import parse
from procman.errors import ProcmanError
from procman.install.safe_fs.file_info import PathError
from procman.install.safe_fs.tree import Tree
from procman.install.state import scope_directories

LOCK_SECONDS = 180.0
"""How long a command waits for the lock by default: longer than an overlap restart that fails holds it, even one of
another project. The lock is not released while a successor starts: it reads files that another install would replace,
and the number of the next overlap would not tell whose order it carries out."""
_LOOKS_PER_SECOND = 10
_SECONDS_BETWEEN_WORDS = 10


class LockedError(ProcmanError):
    """Another procman command holds the lock and has not finished in time."""


@contextmanager
def hold_lock(shared_state: Path, wait_seconds: float, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the installation lock of the scope whose state is in `shared_state`, which is created if it is missing.

    Waits at most `wait_seconds` for another holder, reporting that to `progress`; then raises LockedError, which names
    the holder. Read the installation only while the lock is held.
    """
    descriptor = _acquire(shared_state, wait_seconds, progress)
    try:
        _sign(descriptor, _own_name())
        yield
    finally:
        # Emptied while the lock is still held, so that no message names a holder that has ended.
        _sign(descriptor, b"")
        os.close(descriptor)


def _sign(descriptor: int, name: bytes) -> None:
    # A full disk must not prevent an uninstall: the lock works without a name in it.
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
                f"{holder} is still running and holds the lock of {shared_state}",
                hint="run this again when it has ended; its process releases the lock by ending",
            )
        if now >= next_word:
            progress(f"waiting for {holder} to end")
            next_word = now + _SECONDS_BETWEEN_WORDS
        time.sleep(min(1 / _LOOKS_PER_SECOND, deadline - now))


def _try(shared_state: Path) -> tuple[int, str | None]:
    """Return the locked descriptor; or -1 and the holder of the lock."""
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
        # `uninstall --purge` has removed the file since it was opened: a lock on it excludes no one.
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
        holder = parse(os.pread(descriptor, 4096, 0).decode("utf-8"))
        return f"`{holder['command']}` (process {holder['pid']}, since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        # The holder has not written its name yet.
        return "another procman command"
