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

DIVIDE = """
for group in $HOST_GROUPS; do
    mkdir -p "$group/outside" "$group/inside"
    echo $$ > "$group/outside/cgroup.procs"
    [ ! -e "$group/cgroup.controllers" ] || for controller in $(cat "$group/cgroup.controllers"); do
        echo "+$controller" > "$group/cgroup.subtree_control" || true
    done
done
exec "$@"
"""
"""Run a command beside where the host is to be: a group that passes controllers on can hold no process (cgroups(7))."""

ENTER = """
for group in $HOST_GROUPS; do echo $$ > "$group/inside/cgroup.procs"; done
exec "$@"
"""
"""Run a command where the host is to be."""


def name_for_this_process(number: int) -> str:
    """The name of everything that belongs to host `number` of this process."""
    return f"{PREFIX}{os.getpid()}-{_started(os.getpid())}-{number}"


def scope(name: str) -> list[str]:
    """What to put before a command where systemd booted the machine: it owns the hierarchies, and delegates a group."""
    if not _is_systemds():
        return []
    properties = ("--property=Delegate=yes", "--slice=system.slice")
    return ["systemd-run", "--scope", "--quiet", "--collect", f"--unit={name}", *properties, "--"]


def groups(name: str) -> list[Path]:
    """The host's group in every hierarchy that systemd-nspawn knows; made here, or by systemd with `scope`."""
    if _is_systemds():
        return [mounted / "system.slice" / f"{name}.scope" for mounted, _ in _hierarchies()]
    made = [parent / name for parent in _parents()]
    for group in made:
        group.mkdir(exist_ok=True)
    return made


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


def _is_systemds() -> bool:
    return Path("/run/systemd/system").is_dir()


def _parents() -> Iterator[Path]:
    """Our own group in every hierarchy, which is not to be found where only a part of it is mounted."""
    for mounted, ours in _hierarchies():
        group = Path(f"{mounted}{ours}")
        yield group if group.is_dir() else mounted


def _hierarchies() -> Iterator[tuple[Path, str]]:
    """Where the unified hierarchy and systemd's named one of cgroups v1 are mounted, and our own group in it."""
    ours = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mounted, kind, options = line.split()[:4]
        named = kind == "cgroup" and "name=systemd" in options.split(",")
        key = "" if kind == "cgroup2" else "name=systemd"
        if (named or kind == "cgroup2") and key in ours:
            yield Path(mounted), ours[key]


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
