"""Format events as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import NamedTuple

from procman.install.state.event_log import Event
from procman.output.terminal import local_time, moment, printable, shortened, wrapped

WATCHERS = {"inside": "itself", "healer": "the watcher"}
"""The names of an event's authors that are not users."""

PROJECT = "project"
"""Shown for an event that concerns no single program."""

WIDTHS = (("TIME", 19), ("PROGRAM", 0), ("EVENT", 11), ("CODE", 5), ("LEVEL", 8), ("BY", 11))
"""The columns but the last, each with its least width: `--follow` prints lines below those printed before."""

DROPPED = ("LEVEL", "CODE", "BY")
"""Columns that a narrow terminal has no room for, the first to be left out first."""

SHORTEST_NAME = 20
SHORTEST_TEXT = 30
"""Where a terminal has less room for what happened, it is on a line of its own."""


class Layout(NamedTuple):
    """The columns of the table of events, and how wide it may be."""

    columns: Mapping[str, int]
    width: int | None
    """None: any number of columns."""

    @property
    def room(self) -> int | None:
        """How much room there is for what happened beside the columns; None: any."""
        return None if self.width is None else self.width - sum(self.columns.values()) - 2 * len(self.columns)

    @property
    def has_own_line(self) -> bool:
        """Whether what happened is on a line below the columns."""
        return self.room is not None and self.room < SHORTEST_TEXT


def layout(longest: int, width: int | None) -> Layout:
    """Return the layout for programs whose longest name has `longest` characters on a terminal of `width` columns."""
    columns = {**dict(WIDTHS), "PROGRAM": max(longest, len(PROJECT))}
    for name in (None, *DROPPED):
        columns.pop(name or "", None)
        if width is None or sum(columns.values()) + 2 * len(columns) <= width + 2:
            return Layout(columns, width)
        columns["PROGRAM"] = min(columns["PROGRAM"], SHORTEST_NAME)
    return Layout(columns, width)


def as_line(event: Event) -> str:
    """Return `event` as one line, with control characters escaped: programs write parts of it."""
    by = f"by {_author(event)}" if event.by else ""
    words = (moment(event.at, "seconds"), event.program or PROJECT, event.what, event.code, event.level, by)
    head = " ".join(word for word in words if word)
    return printable(
        " ".join(part for part in (head + (":" if event.reason or event.action else ""), _text(event)) if part)
    )


def as_header(zone: str, layout: Layout) -> str:
    """Return the header of the lines that `as_rows` yields, with the zone of their times."""
    cells = {**{name: name for name in layout.columns}, "TIME": f"TIME ({zone})"}
    return f"{_aligned(cells, layout)}{'' if layout.has_own_line else 'WHAT HAPPENED'}".rstrip()


def as_rows(event: Event, zone: str, layout: Layout) -> Iterator[str]:
    """Yield `event` as a line of a table, or as several on a terminal that is too narrow for one.

    The time is local, and has a zone only if that differs from `zone`, as before a change to summer time.
    """
    time, own_zone = local_time(event.at)
    cells = {
        "TIME": time if own_zone in (zone, "") else f"{time} {own_zone}",
        "PROGRAM": shortened(event.program or PROJECT, layout.columns["PROGRAM"]),
        "EVENT": event.what,
        "CODE": event.code or "-",
        "LEVEL": event.level or "-",
        "BY": _author(event) or "-",
    }
    head, text = _aligned(cells, layout), _text(event)
    if not layout.has_own_line:
        yield from (line.rstrip() for line in wrapped(text, layout.width, label=head))
        return
    yield head.rstrip()
    if text:
        yield from wrapped(text, layout.width, indent="    ")


def _aligned(cells: Mapping[str, str], layout: Layout) -> str:
    return "".join(f"{printable(cells[name]):{width}}  " for name, width in layout.columns.items())


def _author(event: Event) -> str:
    return WATCHERS.get(event.by, event.by)


def _text(event: Event) -> str:
    action = f"-> {event.action}" if event.action and event.reason else event.action
    tasks = f"(running: {', '.join(_tasks(event))})" if event.tasks else ""
    return " ".join(part for part in (event.reason, action, tasks) if part)


def _tasks(event: Event) -> list[str]:
    """Return each running task as its name and, if known, its id in brackets."""
    pairs = zip_longest(event.tasks, event.task_ids, fillvalue="")
    return [f"{name} [{identity}]" if identity else name for name, identity in pairs]
