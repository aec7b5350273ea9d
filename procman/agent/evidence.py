"""Collect what the kernel shows of a process that no longer reports: whether it can still act, and whether it works.

An old heartbeat alone proves nothing, because a healthy process may be unable to write it. The source of every rule is
proc(5). procman imports this file; like its neighbours, it also runs on the project's own Python.
"""

import binascii
import os
import time
from typing import Dict, Iterable, List, NamedTuple, Optional, Set

CLOCK_BOOTTIME = 7  # linux/time.h; Python names it since 3.7

STOPPED, TRACED = "T", "t"
WAITS = {"R": "it waits for a processor", "D": "it waits in the kernel, for a disk for example"}

CGROUPS = "/sys/fs/cgroup"
LISTS_CHILDREN = os.path.exists("/proc/thread-self/children")
"""Whether the kernel was built to list children (CONFIG_PROC_CHILDREN)."""
MOST_BYTES = 65536


class Sample(NamedTuple):
    """One moment of a process and the processes below it."""

    main: str
    """Changes whenever a thread of the process uses CPU time, is scheduled, starts or ends."""
    children: str
    """Changes whenever a process below it uses CPU time, starts or ends."""
    excuse: str
    """Who keeps the process from acting on purpose; empty if nothing is known."""
    waits: str
    """What a thread of the process waits for that no restart would bring; empty if nothing is known."""
    is_stopped: bool
    """Every thread is stopped by a signal, such as SIGSTOP."""
    asleep: float
    """How long the host was suspended since it was booted, in seconds."""


def sample(pid: int) -> Optional[Sample]:
    """Return what /proc shows of process `pid` now; None if it does not exist or cannot be seen."""
    try:
        threads = {thread: _status(pid, thread) for thread in os.listdir(f"/proc/{pid}/task")}
        used = {thread: _cpu_ticks(f"/proc/{pid}/task/{thread}/stat") for thread in threads}
    except (OSError, IndexError):
        return None
    states = {status.get("State", "?")[:1] for status in threads.values()}
    switches = [
        f"{thread} {used[thread]} {status.get('voluntary_ctxt_switches')} {status.get('nonvoluntary_ctxt_switches')}"
        for thread, status in sorted(threads.items())
    ]
    return Sample(
        main=_digest(switches),
        children=_digest([f"{child} {ticks}" for child, ticks in sorted(_ticks_below(pid).items())]),
        excuse=_excuse(pid, states, threads),
        waits=next((reason for state, reason in WAITS.items() if state in states), ""),
        is_stopped=states == {STOPPED},
        asleep=time.clock_gettime(CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC),
    )


def _excuse(pid: int, states: Set[str], threads: Dict[str, Dict[str, str]]) -> str:
    if TRACED in states or any(status.get("TracerPid", "0") != "0" for status in threads.values()):
        return "a debugger is attached to it"
    if _is_frozen_by_cgroup(pid):
        return "its cgroup is frozen"
    return ""


def _is_frozen_by_cgroup(pid: int) -> bool:
    """Return whether the freezer of cgroups (version 1 or 2) holds the process, as far as this process can see."""
    for line in _lines(f"/proc/{pid}/cgroup"):
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if not controllers:
            places = (f"{CGROUPS}{path}", f"{CGROUPS}/unified{path}")
            if any("frozen 1" in _lines(f"{place}/cgroup.events") for place in places):
                return True
        elif "freezer" in controllers.split(","):
            if _lines(f"{CGROUPS}/freezer{path}/freezer.state")[:1] in (["FROZEN"], ["FREEZING"]):
                return True
    return False


# Reading /proc -------------------------------------------------------------------------------------------------------


def _status(pid: int, thread: str) -> Dict[str, str]:
    text = _read(f"/proc/{pid}/task/{thread}/status")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.split("\n"))}


def _cpu_ticks(path: str) -> int:
    # The name before these fields may itself contain blanks and parentheses.
    fields = _read(path).rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _ticks_below(pid: int) -> Dict[int, int]:
    """Return the CPU time of each process below `pid`; one that ends meanwhile is left out."""
    children_of = _listed_children if LISTS_CHILDREN else _every_parent().get
    found = {}  # type: Dict[int, int]
    waiting = [pid]
    while waiting:
        for child in children_of(waiting.pop()) or ():
            try:
                found[child] = _cpu_ticks(f"/proc/{child}/stat")
            except (OSError, IndexError):
                continue
            waiting.append(child)
    return found


def _listed_children(pid: int) -> List[int]:
    try:
        # A child is listed under the thread that started it.
        lists = [_read(f"/proc/{pid}/task/{thread}/children") for thread in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []
    return [int(child) for listed in lists for child in listed.split()]


def _every_parent() -> Dict[int, List[int]]:
    """Return the children of each process of the host."""
    found = {}  # type: Dict[int, List[int]]
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parent = int(_read(f"/proc/{name}/stat").rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            found.setdefault(parent, []).append(int(name))
    return found


def _lines(path: str) -> List[str]:
    try:
        return _read(path).split("\n")
    except OSError:
        return []


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, MOST_BYTES).decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def _digest(lines: Iterable[str]) -> str:
    return f"{binascii.crc32('; '.join(lines).encode('utf-8')):08x}"
