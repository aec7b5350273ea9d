"""The event log: one line of JSON for whatever was found, done or ordered about a program's health.

Two kinds of file: STATE/events.jsonl is procman's own, and each program writes RUN/events.jsonl about what it did by
itself. The latter is somebody else's to write and is believed accordingly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted

FORMAT = 1
NAME = "events.jsonl"
LARGEST = 1024 * 1024
"""Bytes at which procman's own file is put aside; one such is kept."""

FOREIGN_BYTES = 64 * 1024
LONGEST_TEXT = 1000
MOST_TASKS = 20
INSIDE = "inside"
"""Who wrote an event of a program itself."""


@dataclass(frozen=True)
class Event:
    """One thing that happened."""

    at: float
    """Seconds since the epoch."""
    program: str
    what: str
    """found, healing, healed, gave-up, recovered, stopped, started, held or released."""
    code: str = ""
    level: str = ""
    reason: str = ""
    action: str = ""
    tasks: tuple[str, ...] = ()
    """The names of the tasks that were running."""
    by: str = ""
    """`inside`, `healer`, or the user who gave the order."""


def line_of(event: Event) -> str:
    """Return the line that says EVENT, without its end."""
    return json.dumps({"format": FORMAT, **asdict(event)})


def append_event(tree: Tree, state: Path, event: Event) -> None:
    """Add EVENT to procman's own log, in one write, so that two at once do not mix."""
    path = state / NAME
    descriptor = tree.open_log(path)
    try:
        os.write(descriptor, line_of(event).encode("ascii") + b"\n")
        is_large = os.fstat(descriptor).st_size > LARGEST and tree.is_at(path, descriptor)
    finally:
        os.close(descriptor)
    if is_large:
        # Two may do so at once: at worst the file put aside is a short one.
        with suppress(ProcmanError):
            tree.rename(path, path.with_name(f"{NAME}.1"))


def own_events(tree: Tree, state: Path) -> Iterator[Event]:
    """Yield the events of procman's own log, oldest first."""
    for path in (state / f"{NAME}.1", state / NAME):
        yield from _events(tree.read_private(path) or b"")


def untrusted_events(run_directory: Path, program: str, owners: Collection[int]) -> Iterator[Event]:
    """Yield what PROGRAM says it did by itself, oldest first; nothing where its file is not what it should be."""
    try:
        content = read_untrusted(run_directory / NAME, owners, FOREIGN_BYTES) or b""
    except UntrustedFile:
        return
    for event in _events(content):
        yield Event(**{**vars(event), "program": program, "by": INSIDE})


def _events(content: bytes) -> Iterator[Event]:
    for line in content.split(b"\n"):
        event = read_event(line)
        if event:
            yield event


def read_event(line: bytes) -> Event | None:
    """Return what LINE says, cut to a sensible length; None if it is no event."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not _is_number(data.get("at")):
        return None
    texts = {name: _text(data, name) for name in ("program", "what", "code", "level", "reason", "action", "by")}
    tasks = data.get("tasks")
    named = [task[:LONGEST_TEXT] for task in tasks if isinstance(task, str)] if isinstance(tasks, list) else []
    return Event(at=float(data["at"]), tasks=tuple(named[:MOST_TASKS]), **texts)


def _is_number(value: Any) -> bool:
    # No bool, no infinity: a time that a calendar has.
    return type(value) in (int, float) and 0 <= value < 2**33


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""
