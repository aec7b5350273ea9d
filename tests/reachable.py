"""Directories and a virtualenv that every user can read, for tests that root runs as another user.

The temporary directories of pytest are private, and Pythons are often below a home directory.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.celery_environments import CELERY_5_7, RUNNING, environment_of

IS_ROOT = os.geteuid() == 0
SOMEBODY = "nobody"
"""The user that root becomes in these tests."""

SYSTEM_PYTHON = Path("/usr/bin/python3")


@contextmanager
def public_directory() -> Iterator[Path]:
    """Create a directory that every user can read, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="procman-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_somebody(check: Callable[[], None]) -> None:
    """Call `check` without privileges: in a child process that becomes `SOMEBODY`, if this is root."""
    if not IS_ROOT:
        check()
        return
    child = os.fork()
    if child == 0:
        status = 1
        try:
            account = pwd.getpwnam(SOMEBODY)
            os.setgroups([])
            os.setresgid(*[account.pw_gid] * 3)
            os.setresuid(*[account.pw_uid] * 3)
            check()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def make_virtualenv(directory: Path) -> Path:
    """Create a virtualenv with Celery 5.7 and Django whose Python every user can run; return that Python.

    Its packages are copied from a virtualenv of a possibly different Python, which is enough to load an app.
    """
    python = SYSTEM_PYTHON if IS_ROOT else Path(sys.executable)
    version = re.fullmatch(r"python(3\.1\d)", python.resolve().name) if IS_ROOT else RUNNING
    if not version:
        pytest.skip("no Python 3.10 or later in /usr/bin, which other users can run")
    environment = environment_of(CELERY_5_7)
    assert environment
    subprocess.run([python, "-m", "venv", "--without-pip", directory], check=True)
    [packages] = directory.glob("lib/python3.*/site-packages")
    found = environment.directory / "lib" / f"python{RUNNING}" / "site-packages"
    # Copied, because the checkout may be unreadable for other users; with bytecode, because they cannot write it here.
    shutil.copytree(found, packages, dirs_exist_ok=True)
    return directory / "bin" / "python"
