"""The control groups that a booted host lives in, named after the process that owns them.

A namespace takes its processes and mounts away by itself; control groups stay. So they carry the mark by which the next
start recognises what a killed run has left: the owner's pid and, as pids are used again, the time when it was started.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "procman-host."


def name_for_this_process(number: int) -> str:
    """The name of everything that belongs to host `number` of this process."""
    return f"{PREFIX}{os.getpid()}-{_started(os.getpid())}-{number}"


def groups_to_join(name: str) -> list[Path]:
    """Make the host's group in the hierarchies that systemd-nspawn delegates.

    None where the machine itself was booted by systemd: that owns the hierarchies, see `scope_for`.
    """
    if Path("/run/systemd/system").is_dir():
        return []
    groups = [parent / name for parent in _parents()]
    for group in groups:
        group.mkdir(exist_ok=True)
    return groups


def scope_for(name: str) -> list[str]:
    """What to put before a command so that the systemd that booted the machine, if one did, delegates a group to it."""
    if not Path("/run/systemd/system").is_dir():
        return []
    return ["systemd-run", "--scope", "--quiet", "--collect", f"--unit={name}", "--property=Delegate=yes", "--"]


def remove(name: str) -> None:
    """Remove the groups of a host, and end whatever is still in them."""
    for parent in _parents():
        _remove_tree(parent / name)


def sweep() -> None:
    """Remove what hosts of processes that no longer live have left behind."""
    for parent in _parents():
        for group in parent.glob(f"{PREFIX}*"):
            pid, started, _ = group.name.removeprefix(PREFIX).split("-")
            if _started(int(pid)) != started:
                _remove_tree(group)


def _parents() -> Iterator[Path]:
    """Our own group in systemd's hierarchies: the unified one, and the named one of a machine with cgroups v1."""
    ours = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mounted, kind, options = line.split()[:4]
        named = kind == "cgroup" and "name=systemd" in options.split(",")
        key = "" if kind == "cgroup2" else "name=systemd"
        if (named or kind == "cgroup2") and key in ours:
            group = Path(mounted + ours[key])
            yield group if group.is_dir() else Path(mounted)


def _remove_tree(group: Path, patience: float = 5.0) -> None:
    deadline = time.monotonic() + patience
    while group.is_dir():
        try:
            for directory, _, _ in os.walk(group, topdown=False):
                _kill_members(Path(directory))
                Path(directory).rmdir()
        except OSError:  # EBUSY: the kernel has not buried the last member yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _kill_members(group: Path) -> None:
    for pid in map(int, (group / "cgroup.procs").read_text().split()):
        if pid not in (0, os.getpid()):
            os.kill(pid, signal.SIGKILL)


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
