"""The control groups of a booted host, named after the process that owns them.

The processes and mounts of a namespace disappear with it, but control groups remain. So their names identify the owner,
by its pid and, because pids are reused, its start time; the next start removes those that a killed run has left behind.
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

_UNIFY = """
if [ "$(stat --file-system --format=%T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount --recursive /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
exec "$@"
"""

UNIFIED = ("unshare", "--mount", "sh", "-c", _UNIFY, "unified")
"""A prefix for a command that sees cgroups v2 only: systemd 258 and later refuse to run on a machine with v1."""


def name_for_this_process(number: int) -> str:
    """Return the name of the control groups of host `number` of this process."""
    return f"{PREFIX}{os.getpid()}-{_started(os.getpid())}-{number}"


def scope(name: str) -> list[str]:
    """Return a prefix for a command if systemd booted the machine: it owns the hierarchies and delegates a group."""
    if not _is_systemds():
        return []
    properties = ("--property=Delegate=yes", "--slice=system.slice")
    return ["systemd-run", "--scope", "--quiet", "--collect", f"--unit={name}", *properties, "--"]


def groups(name: str) -> list[Path]:
    """Return the host's group in every hierarchy that systemd-nspawn uses, created here or by systemd with `scope`."""
    if _is_systemds():
        return [mounted / "system.slice" / f"{name}.scope" for mounted, _ in _hierarchies()]
    made = [parent / name for parent in _parents()]
    for group in made:
        group.mkdir(exist_ok=True)
    return made


def remove(name: str) -> None:
    """Remove the groups of a host and end all processes in them."""
    for parent in _parents():
        _remove_tree(parent / name)


def sweep() -> None:
    """Remove groups of hosts whose owners no longer exist."""
    for parent in _parents():
        for group in parent.glob(f"{PREFIX}*"):
            pid, started, _ = group.name.removeprefix(PREFIX).split("-")
            if _started(int(pid)) != started:
                _remove_tree(group)


def _is_systemds() -> bool:
    return Path("/run/systemd/system").is_dir()


def _parents() -> Iterator[Path]:
    """Return this process's group in every hierarchy; it cannot be found if only a part of it is mounted."""
    for mounted, ours in _hierarchies():
        group = Path(f"{mounted}{ours}")
        yield group if group.is_dir() else mounted


def _hierarchies() -> Iterator[tuple[Path, str]]:
    """Return the mounts of the unified hierarchy and of systemd's cgroups v1, with this process's group in each."""
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
        except OSError:  # EBUSY: the kernel has not released the last member yet
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
