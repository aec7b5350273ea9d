"""Runs code as the service user, in a process of its own, for tests that run as root."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NOBODY = pwd.getpwnam("nobody")

needs_root = pytest.mark.root("needs root, to become another user as well")


def as_nobody(action: Callable[[], object]) -> None:
    """Run `action` as the user nobody; an exception fails the test."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(NOBODY.pw_gid, NOBODY.pw_gid, NOBODY.pw_gid)
            os.setresuid(NOBODY.pw_uid, NOBODY.pw_uid, NOBODY.pw_uid)
            action()
            status = 0
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, "failed as the user nobody; see the message above"


def public_directory() -> Iterator[Path]:
    """Yield a directory that every user can enter; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="pm") as name:
        Path(name).chmod(0o755)
        yield Path(name)
