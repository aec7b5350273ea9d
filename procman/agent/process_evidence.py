"""Collect what the kernel shows of a process that no longer reports: whether it can still act, and whether it works.

An old heartbeat alone proves nothing, because a healthy process may be unable to write it. The source of every rule is
proc(5). The probe of a container imports this file from beside the launcher; procman imports the same code.
"""

import os

from .light_typing import Callable, Iterable, List, NamedTuple, Optional
from .process_stat import SYSTEM_TICKS, USER_TICKS, asleep_seconds, stat_fields

STOPPED, TRACED = "T", "t"
WAITS = {"R": "it waits for a processor", "D": "it waits in the kernel, for a disk for example"}

CGROUPS = "/sys/fs/cgroup"

DescendantsOf = Callable[[int], Iterable[int]]
"""Returns the processes below a process, at any depth."""


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


class _Thread(NamedTuple):
    state: str
    is_traced: bool
    has_run: str
    """Its CPU time and how often it was scheduled."""


def sample(pid: int, descendants_of: DescendantsOf) -> Optional[Sample]:
    """Return what /proc shows of process `pid` now; None if it does not exist or cannot be seen."""
    try:
        threads = {name: _thread(pid, name) for name in os.listdir(f"/proc/{pid}/task")}
    except OSError:
        return None
    states = {thread.state for thread in threads.values()}
    return Sample(
        main=_digest(f"{name} {thread.has_run}" for name, thread in sorted(threads.items())),
        children=_digest(f"{child} {_ticks(stat_fields(f'{child}'))}" for child in sorted(descendants_of(pid))),
        excuse=_excuse(pid, threads.values()),
        waits=next((reason for state, reason in WAITS.items() if state in states), ""),
        is_stopped=states == {STOPPED},
        asleep=asleep_seconds(),
    )


def _thread(pid: int, name: str) -> _Thread:
    lines = _read(f"/proc/{pid}/task/{name}/status").splitlines()
    status = {label: value.strip() for label, _, value in (line.partition(":") for line in lines)}
    switches = f"{status.get('voluntary_ctxt_switches')} {status.get('nonvoluntary_ctxt_switches')}"
    ticks = _ticks(stat_fields(f"{pid}/task/{name}"))
    return _Thread(status.get("State", "?")[:1], status.get("TracerPid", "0") != "0", f"{ticks} {switches}")


def _ticks(fields: List[str]) -> int:
    """Return the CPU time in the fields of a stat file; 0 if the process has ended."""
    return int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS]) if fields else 0


def _excuse(pid: int, threads: Iterable[_Thread]) -> str:
    if any(thread.is_traced or thread.state == TRACED for thread in threads):
        return "a debugger is attached to it"
    return "its cgroup is frozen" if _is_frozen_by_cgroup(pid) else ""


def _is_frozen_by_cgroup(pid: int) -> bool:
    """Return whether the freezer of cgroups (version 1 or 2) holds the process, as far as this process can see."""
    for line in _lines(f"/proc/{pid}/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            places = (f"{CGROUPS}{path}", f"{CGROUPS}/unified{path}")
            if any("frozen 1" in _lines(f"{place}/cgroup.events") for place in places):
                return True
        elif "freezer" in controllers.split(","):
            state = _lines(f"{CGROUPS}/freezer{path}/freezer.state")
            if state and state[0] in ("FROZEN", "FREEZING"):
                return True
    return False


def _lines(path: str) -> List[str]:
    try:
        return _read(path).splitlines()
    except OSError:
        return []


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _digest(lines: Iterable[str]) -> str:
    import binascii  # milliseconds, which the probe spends only on an old heartbeat

    return f"{binascii.crc32('; '.join(lines).encode('utf-8')):08x}"
