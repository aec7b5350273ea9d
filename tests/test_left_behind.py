"""A process that detached itself from a probe ends with it; no other process does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from procman import left_behind
from procman.errors import ProcmanError
from procman.host.process import alive
from procman.subprocesses import CLEAN_ENVIRONMENT, capture
from tests.install.people import NOBODY

DETACH = """
import os, sys, time
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writing, str(os.getpid()).encode())
        if "two" in sys.argv and os.fork() == 0:
            os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for each in (0, 1, 2):
            os.dup2(null, each)
        os.execve("/bin/sleep", ["sleep", sys.argv[1]], {})
    os._exit(0)
print(os.read(reading, 20).decode(), flush=True)
if "hang" in sys.argv:
    print("x" * (9 << 20), flush=True)
    time.sleep(900)
"""

USER = NOBODY if os.geteuid() == 0 else None
UID = NOBODY.pw_uid if USER else os.geteuid()
PYTHON = "/usr/bin/python3"
SECONDS = str(100_000 + os.getpid())
"""Found in the command line of the detached processes of this test only."""


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Another child, which was started before."""
    with subprocess.Popen(["sleep", "900"], user=UID if USER else None) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("how", ["one", "two"])
def test_detached_process_is_killed(bystander: subprocess.Popen[bytes], how: str) -> None:
    with left_behind.ended(UID):
        argv = [PYTHON, "-c", DETACH, SECONDS, how]
        done = capture(argv, environment=CLEAN_ENVIRONMENT, user=USER and USER.pw_name, timeout=120)
        detached = int(done.checked().stdout)
        assert alive(detached)
    assert not alive(detached)
    assert not _sleeping()
    assert bystander.poll() is None


def test_detached_process_of_a_killed_probe_is_killed(bystander: subprocess.Popen[bytes]) -> None:
    argv = [PYTHON, "-c", DETACH, SECONDS, "hang"]
    with pytest.raises(ProcmanError, match="printed more than"), left_behind.ended(UID):
        capture(argv, environment=CLEAN_ENVIRONMENT, user=USER and USER.pw_name, timeout=120)
    assert not _sleeping()
    assert bystander.poll() is None


def test_nothing_is_adopted_afterwards() -> None:
    with left_behind.ended(UID):
        pass
    done = subprocess.run([sys.executable, "-c", DETACH, SECONDS], capture_output=True, text=True, check=True)
    detached = int(done.stdout)
    try:
        assert Path(f"/proc/{detached}/status").read_text().split("PPid:")[1].split()[0] != str(os.getpid())
    finally:
        os.kill(detached, 9)


def _sleeping() -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == f"sleep\0{SECONDS}\0".encode():
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found
