"""Find the processes that the kernel killed for lack of memory, in its log."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from procman.errors import ProcmanError
from procman.host import systemd_host

DEVICE = "/dev/kmsg"

RECORD_BYTES = 8192
"""The most that one read returns: one record of the kernel."""

MOST_RECORDS = 20_000

JOURNAL_SECONDS = 3.0

NEAR_SECONDS = 30.0
"""How far apart the kernel's kill and the end that the process manager reports may be."""

# Linux 4.x logs "Kill process" and then "Killed process"; since 5.0 it also logs the cgroup, in a line of its own.
_KILLED = re.compile(r"(?:[Oo]ut of memory[^:]*: Kill(?:ed)?|^Killed) process (?P<pid>\d+)")
_CGROUP = re.compile(r"^oom-kill:.*task_memcg=(?P<cgroup>[^,]*),.*\bpid=(?P<pid>\d+)")

_JOURNAL = re.compile(r"(?P<at>\d+\.\d+) \S+ kernel: (?P<text>.*)")


class Line(NamedTuple):
    """A line of the kernel's log."""

    at: float
    """Seconds since the epoch."""
    text: str


class MemoryKill(NamedTuple):
    """A process that the kernel killed."""

    at: float
    pid: int
    cgroup: str = ""
    """Empty if the kernel did not log it."""


def memory_kills(since: float) -> list[MemoryKill]:
    """Return what the kernel has killed `since` then; nothing if its log cannot be read, or no longer has it."""
    lines = _of_device() or _of_journal(since)
    return [kill for kill in kills_in(lines) if kill.at >= since]


def kills_in(lines: Iterable[Line]) -> list[MemoryKill]:
    """Return the kills that `lines` show, each once."""
    found: dict[int, MemoryKill] = {}
    for line in lines:
        if match := _CGROUP.search(line.text):
            found[int(match["pid"])] = MemoryKill(line.at, int(match["pid"]), match["cgroup"])
        elif match := _KILLED.search(line.text):
            pid = int(match["pid"])
            if pid not in found or line.at - found[pid].at > NEAR_SECONDS:
                found[pid] = MemoryKill(line.at, pid)
    return list(found.values())


def is_among(kills: Iterable[MemoryKill], at: float, pid: int | None, unit: str | None) -> bool:
    """Return whether the kernel killed the process `pid`; if that is unknown, the process of `unit` that ended `at`."""
    near = [kill for kill in kills if abs(kill.at - at) <= NEAR_SECONDS]
    if pid is not None:
        return any(kill.pid == pid for kill in near)
    return unit is not None and any(kill.cgroup.endswith(f"/{unit}") for kill in near)


def read_record(record: bytes, boot: float) -> Line | None:
    """Return the line in a `record` of /dev/kmsg, as its documentation describes it; `boot`: when its clock began."""
    fields, semicolon, text = record.partition(b";")
    numbers = fields.split(b",")
    if not semicolon or len(numbers) < 3 or not numbers[2].isdigit():
        return None
    return Line(boot + int(numbers[2]) / 1e6, text.partition(b"\n")[0].decode("utf-8", "replace"))


def _of_device() -> list[Line]:
    try:
        descriptor = os.open(DEVICE, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        boot = time.time() - time.monotonic()
        return [line for record in _records(descriptor) if (line := read_record(record, boot))]
    finally:
        os.close(descriptor)


def _records(descriptor: int) -> Iterator[bytes]:
    for _ in range(MOST_RECORDS):
        try:
            yield os.read(descriptor, RECORD_BYTES)
        except BrokenPipeError:
            continue  # the kernel has overwritten this record meanwhile
        except OSError:
            return


def _of_journal(since: float) -> Iterator[Line]:
    words = ["journalctl", "--dmesg", "--no-pager", "--quiet", "--output=short-unix", f"--since=@{int(since)}"]
    words.append(f"--lines={MOST_RECORDS}")
    with suppress(ProcmanError):
        for line in map(_JOURNAL.match, systemd_host.run(words, JOURNAL_SECONDS).stdout.splitlines()):
            if line:
                yield Line(float(line["at"]), line["text"])
