"""Format events as lines of text."""

from __future__ import annotations

from itertools import zip_longest

from procman.install.state.event_log import Event
from procman.output.terminal import local_time, moment, printable

WATCHERS = {"inside": "itself", "healer": "the watcher"}
"""The names of an event's authors that are not users."""

PROJECT = "project"
"""Shown for an event that concerns no single program."""

WIDTHS = (("TIME", 19), ("PROGRAM", 0), ("EVENT", 11), ("CODE", 5), ("LEVEL", 8), ("BY", 11))
"""The columns but the last, each with its least width: `--follow` prints lines below those printed before."""


def as_line(event: Event) -> str:
    """Return `event` as one line, with control characters escaped: programs write parts of it."""
    by = f"by {_author(event)}" if event.by else ""
    words = (moment(event.at, "seconds"), event.program or PROJECT, event.what, event.code, event.level, by)
    head = " ".join(word for word in words if word)
    return printable(" ".join(part for part in (head + (":" if event.reason else ""), _text(event)) if part))


def as_header(zone: str, longest: int) -> str:
    """Return the header of the lines that `as_row` returns, with the zone of their times."""
    return _aligned((f"TIME ({zone})", *(name for name, _ in WIDTHS[1:])), "WHAT HAPPENED", longest)


def as_row(event: Event, zone: str, longest: int) -> str:
    """Return `event` as one line of a table whose longest program name has `longest` characters.

    The time is local, and has a zone only if that differs from `zone`, as before a change to summer time.
    """
    time, own_zone = local_time(event.at)
    moment = time if own_zone in (zone, "") else f"{time} {own_zone}"
    cells = (moment, event.program or PROJECT, event.what, event.code or "-", event.level or "-", _author(event) or "-")
    return _aligned(tuple(map(printable, cells)), printable(_text(event)), longest)


def _aligned(cells: tuple[str, ...], text: str, longest: int) -> str:
    least = [max(longest, len(PROJECT)) if name == "PROGRAM" else width for name, width in WIDTHS]
    return "  ".join([*(cell.ljust(width) for cell, width in zip(cells, least, strict=True)), text]).rstrip()


def _author(event: Event) -> str:
    return WATCHERS.get(event.by, event.by)


def _text(event: Event) -> str:
    action = f"-> {event.action}" if event.action else ""
    tasks = f"(running: {', '.join(_tasks(event))})" if event.tasks else ""
    return " ".join(part for part in (event.reason, action, tasks) if part)


def _tasks(event: Event) -> list[str]:
    """Return each running task as its name and, if known, its id in brackets."""
    pairs = zip_longest(event.tasks, event.task_ids, fillvalue="")
    return [f"{name} [{identity}]" if identity else name for name, identity in pairs]
