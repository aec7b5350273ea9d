"""Read the event logs of a project: procman's own, and those that the programs write themselves."""

import time
from typing import NamedTuple, Tuple

from . import files
from .values import LATEST, number, printable, text

NAME = "events.jsonl"
OWN_BYTES = 256 * 1024
PROGRAM_BYTES = 64 * 1024
MOST_TASKS = 20
INSIDE = "inside"

ORDERS = ("started", "stopped", "restarted", "installed", "rolled back")
"""The events of a program that begin the count of its restarts again."""

UNEXPECTED = "PM111"
"""The code of the end of a main process without an order; that of a pool process has another."""

KILLED = "sent SIGKILL"
"""How the action begins that ends what an order, or an earlier event of healing, could not."""

SETTLED = ("recovered", "healed", "stopped", "started", "restarted")
"""The events after which an earlier finding counts no more."""


class Event(NamedTuple):
    """One event."""

    at: float
    program: str
    what: str
    code: str
    level: str
    reason: str
    action: str
    by: str
    tasks: Tuple[str, ...]


def read_events(project):
    """Return the events of `project`, oldest first, and why some could not be read."""
    found, problems = [], []
    for names, program, most in _logs(project):
        try:
            content = files.read(project.place, names, most) or b""
        except files.Unreadable as error:
            problems.append(str(error))
            continue
        found.extend(_events(content, program))
    return sorted(found, key=lambda event: event.at), problems


def restarts_of(events, program, since):
    """Return how often its process manager restarted `program` by itself since its last order, and since `since`.

    It is what `procman status` counts, except that a crash loop has an event for its first ends only.
    """
    restarts = 0
    for event in events:
        if event.program != program or event.at < since:
            continue
        if event.by != INSIDE and event.what in ORDERS:
            restarts = 0
        elif _is_restart(event):
            restarts += 1
    return restarts


def _is_restart(event):
    if event.what == "healing":
        return not event.action.startswith(KILLED)
    # The end by healing has no event of its own, and a kill at the stop timeout has no code.
    return event.what == "ended" and event.code == UNEXPECTED and event.by != INSIDE


def open_finding(events, program):
    """Return the last problem that the watcher found about `program`; None if it has ended since."""
    for event in reversed(events):
        if event.program != program or event.by == INSIDE:
            continue
        if event.what == "found":
            return event
        if event.what in SETTLED:
            return None
    return None


def _logs(project):
    for name in (NAME + ".1", NAME):
        yield (project.name, name), None, OWN_BYTES
    for program in project.programs:
        yield (project.name, "run", program.name, NAME), program.name, PROGRAM_BYTES


def _events(content, program):
    for line in content.split(b"\n"):
        try:
            found = files.parse(line, PROGRAM_BYTES)
        except ValueError:
            continue  # the first line of a long file is incomplete
        at, what = number(found, "at"), text(found, "what")
        if at is None or what is None or not 0 <= at < LATEST:
            continue
        texts = {name: text(found, name) or "" for name in ("code", "level", "reason", "action", "by")}
        tasks = found.get("tasks")
        tasks = [printable(each) for each in tasks if isinstance(each, str)] if isinstance(tasks, list) else []
        # A program can write about no other, whatever it writes, and none of its events stays the newest for years.
        if program is not None:
            texts["by"] = INSIDE
            at = min(at, time.time())
        name = program if program is not None else text(found, "program") or ""
        yield Event(at, name, what, tasks=tuple(tasks[:MOST_TASKS]), **texts)
