"""The event log: one line of JSON for each finding, action and command that concerns a program's health.

There are two kinds of file: STATE/events.jsonl is procman's own; each program writes RUN/events.jsonl about what it did
itself. The latter belongs to the service user and is not trusted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

from procman.agent.strict_json import parse
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted

FORMAT = 1
NAME = "events.jsonl"
LARGEST = 1024 * 1024
"""Bytes at which procman's own file is rotated; one rotated file is kept."""

FOREIGN_BYTES = 64 * 1024
LONGEST_TEXT = 1000
MOST_TASKS = 20
INSIDE = "inside"
"""The author of an event that the program itself wrote."""

OVERLAPS = ("overlapped", "overlap failed")
"""The events of an overlap restart: the keeper of the worker writes one, and a command that ordered it another."""


@dataclass(frozen=True)
class Event:
    """One finding, action or command."""

    at: float
    """Seconds since the epoch."""
    program: str
    what: str
    """found, healing, healed, gave-up, recovered, ended, missed, lost, handing-back, handed-back, not-returned, cut,
    stopped, started, restarted, overlapped, overlap failed, reloaded, adopted, restored, held, released or
    ordered."""
    code: str = ""
    level: str = ""
    reason: str = ""
    action: str = ""
    tasks: tuple[str, ...] = ()
    """The names of the tasks that were running."""
    by: str = ""
    """`inside`, `healer`, or the user who ran the command."""
    task_ids: tuple[str, ...] = ()
    """The ids of `tasks`, in the same order; an empty text if one is unknown, nothing at all if none is known."""


class RunningTasks(TypedDict):
    """The fields of an event that name the running tasks."""

    tasks: tuple[str, ...]
    task_ids: tuple[str, ...]


def line_of(event: Event) -> str:
    """Return the line for `event`, without the newline."""
    return json.dumps({"format": FORMAT, **asdict(event)})


def append_event(tree: Tree, state: Path, event: Event) -> None:
    """Append `event` to procman's own log in one write, so that concurrent writers do not mix."""
    path = state / NAME
    descriptor = tree.open_log(path)
    try:
        os.write(descriptor, line_of(event).encode("ascii") + b"\n")
        is_large = os.fstat(descriptor).st_size > LARGEST and tree.is_at(path, descriptor)
    finally:
        os.close(descriptor)
    if is_large:
        # Two processes may do this at once: at worst the rotated file is short.
        with suppress(ProcmanError):
            tree.rename(path, path.with_name(f"{NAME}.1"))


def own_events(tree: Tree, state: Path) -> Iterator[Event]:
    """Yield the events of procman's own log, oldest first."""
    for path in (state / f"{NAME}.1", state / NAME):
        yield from _events(tree.read_private(path) or b"")


def untrusted_events(run_directory: Path, program: str, owners: Collection[int]) -> Iterator[Event]:
    """Yield the events that `program` wrote itself, oldest first; nothing if its file is not trustworthy."""
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
    """Return the event in `line`, with long texts cut; None if it is not an event."""
    try:
        data = parse(line.decode("utf-8"))
    except ValueError:
        return None
    if not isinstance(data, dict) or not _is_number(data.get("at")):
        return None
    texts = {name: _text(data, name) for name in ("program", "what", "code", "level", "reason", "action", "by")}
    tasks, ids = _texts(data, "tasks"), _texts(data, "task_ids")
    # Another length cannot be parallel.
    return Event(at=float(data["at"]), tasks=tasks, task_ids=ids if len(ids) == len(tasks) else (), **texts)


def _is_number(value: Any) -> bool:
    # Not a bool, not infinity: a time that a calendar can show.
    return type(value) in (int, float) and 0 <= value < 2**33


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def _texts(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = data.get(name)
    found = [each[:LONGEST_TEXT] for each in values if isinstance(each, str)] if isinstance(values, list) else []
    return tuple(found[:MOST_TASKS])


def tasks_of(heartbeat: Mapping[str, Any]) -> RunningTasks:
    """Return the fields of an event that name the tasks in `heartbeat`, which may be empty."""
    tasks = heartbeat.get("tasks", ())
    names, ids = tuple(task["name"] for task in tasks), tuple(task.get("id") or "" for task in tasks)
    return {"tasks": names, "task_ids": ids if any(ids) else ()}
