"""Format events as lines of text."""

from __future__ import annotations

from itertools import zip_longest

from procman.install.state.event_log import Event
from procman.output.terminal import moment, printable

WATCHERS = {"inside": "itself", "healer": "the watcher"}
"""The names of an event's authors that are not users."""


def as_line(event: Event) -> str:
    """Return `event` as one line, with control characters escaped: programs write parts of it."""
    by = f"by {WATCHERS.get(event.by, event.by)}" if event.by else ""
    words = (moment(event.at, "seconds"), event.program or "project", event.what, event.code, event.level, by)
    head = " ".join(word for word in words if word)
    action = f"-> {event.action}" if event.action else ""
    tasks = f"(running: {', '.join(_tasks(event))})" if event.tasks else ""
    return printable(
        " ".join(part for part in (head + (":" if event.reason else ""), event.reason, action, tasks) if part)
    )


def _tasks(event: Event) -> list[str]:
    """Return each running task as its name and, if known, its id in brackets."""
    pairs = zip_longest(event.tasks, event.task_ids, fillvalue="")
    return [f"{name} [{identity}]" if identity else name for name, identity in pairs]
