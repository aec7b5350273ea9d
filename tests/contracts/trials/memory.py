"""Let the kernel kill a process because its control group has no memory left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from tests.product import eventually

MEMORY = Path("/sys/fs/cgroup/memory")
LIMIT_BYTES = 64 * 2**20
EATER = """
import sys
open(sys.argv[1] + "/cgroup.procs", "w").write("0")
eaten = []
while True:
    eaten.append(bytearray(2**20))
"""


def can_run_out() -> bool:
    """Return whether this machine has groups of memory (cgroups v1) that the test may make."""
    try:
        with _group("procman-kills-probe"):
            return True
    except OSError:
        return False


class _group:  # noqa: N801
    """A group with little memory; whatever is in it at the end is killed."""

    def __init__(self, name: str) -> None:
        self.path = MEMORY / name

    def __enter__(self) -> Path:
        self.path.mkdir()
        (self.path / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
        return self.path

    def __exit__(self, *_: object) -> None:
        for pid in map(int, (self.path / "cgroup.procs").read_text().split()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(self._is_removed, f"{self.path} is empty")

    def _is_removed(self) -> bool:
        try:
            self.path.rmdir()
        except OSError:  # EBUSY: the kernel has not released the last member yet
            return False
        return True


def run_out(doomed: psutil.Process, patience: float = 60.0) -> None:
    """Fill the memory of a group that `doomed` is in until the kernel has killed it."""
    with _group(f"procman-kills-{doomed.pid}") as group:
        # Of the processes in the group, the kernel kills the one with the highest score: a process of a worker, which
        # is large itself.
        Path(f"/proc/{doomed.pid}/oom_score_adj").write_text("1000")
        (group / "cgroup.procs").write_text(str(doomed.pid))
        with subprocess.Popen([sys.executable, "-c", EATER, str(group)]) as eater:
            try:
                eventually(lambda: is_gone(doomed), "the kernel has killed the process", patience)
            finally:
                eater.kill()


def is_gone(process: psutil.Process) -> bool:
    """Return whether `process` has ended."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    except psutil.NoSuchProcess:
        return True
