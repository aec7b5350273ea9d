"""Runs `sample` under strace(1), which kills it at a chosen system call or lets that call fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.install import sample
from tests.needs import requires

CHANGING = ("write", "fsync", "fchmod", "fchown", "mkdirat", "symlinkat", "unlinkat", "ftruncate", "pwrite64")
"""The calls that change something on disk, besides those that rename and those that open to create."""
RENAMING = ("rename", "renameat", "renameat2")
_MARK = ("access", "faccessat", "faccessat2")
_CALL = re.compile(r"(?:\[pid +\d+\] |\d+ +)?(\w+)\((.*)")

FAST = ("--seccomp-bpf",)
"""Stops only at the named calls, which takes half the time; but strace 6.1 then does not inject the signal."""

STRACE = shutil.which("strace")

Point = tuple[str, int]
"""A system call: its name, and its number among the calls of that name since the process started."""


def points(base: Path, command: str, argument: str) -> list[Point]:
    """Run `sample` to completion, and return every point at which it was about to change something on disk."""
    log = base.with_suffix(".strace")
    names = ("openat", *CHANGING, *RENAMING, *_MARK)
    done = _run(
        [*FAST, "-o", str(log), "-e", f"trace={','.join(f'?{name}' for name in names)}"], base, command, argument
    )
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = {}
    found: list[Point] = []
    begun = False
    for line in log.read_text(errors="replace").splitlines():
        if match := _CALL.match(line):
            name, arguments = match.groups()
            counts[name] = counts.get(name, 0) + 1
            begun = begun or "/procman-test-begins" in arguments
            if begun and (name in (*CHANGING, *RENAMING) or "O_CREAT" in arguments):
                found.append((name, counts[name]))
    assert found, "nothing was written"
    return found


def run_with(base: Path, command: str, argument: str, point: Point, injected: str) -> subprocess.CompletedProcess[str]:
    """Run `sample` with a fault injected at `point`, such as `signal=KILL` or `error=ENOSPC`."""
    name, number = point
    tampering = ["-e", f"trace={name}", "-e", f"inject={name}:{injected}:when={number}"]
    return _run([*(() if injected.startswith("signal") else FAST), *tampering], base, command, argument)


def _run(options: list[str], base: Path, command: str, argument: str) -> subprocess.CompletedProcess[str]:
    assert STRACE
    requires("strace")
    python = [sys.executable, "-m", "tests.install.sample", str(base), command, argument]
    environment = {"PATH": os.defpath, "PYTHONHASHSEED": "0", "HOME": os.environ.get("HOME", "/")}
    # A separate cache: another process that compiles a module meanwhile would change the number of files opened.
    environment["PYTHONPYCACHEPREFIX"] = str(base.with_suffix(".pycache"))
    where = ["-o", os.devnull] if "-o" not in options else []
    return subprocess.run(
        [STRACE, "-f", "-qq", *where, *options, *python],
        cwd=Path(sample.__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
