"""Processes for tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

# The second child is started by a thread, and has a child of its own.
FAMILY = """
import subprocess, sys, threading
ending = [sys.executable, "-c", "import sys; sys.stdin.read()"]
parent = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); print('ready', flush=True); sys.stdin.read()"
subprocess.Popen(ending)
def start():
    child = subprocess.Popen([sys.executable, "-c", parent, *ending], stdout=subprocess.PIPE)
    child.stdout.readline()
    print("ready", flush=True)
    sys.stdin.read()
threading.Thread(target=start).start()
"""


@pytest.fixture
def family() -> Iterator[int]:
    """A process with a child of its main thread, a child of another thread, and a grandchild; all end with it."""
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield process.pid
