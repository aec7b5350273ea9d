"""Format events as lines of text."""

from __future__ import annotations

from procman.install.state.event_log import Event
from procman.output.terminal import moment, printable


def as_line(event: Event) -> str:
    """Return `event` as one line, with control characters escaped: programs write parts of it."""
    head = " ".join(word for word in (moment(event.at, "seconds"), event.program or "project", event.what) if word)
    words = [word for word in (event.code, event.level) if word]
    texts = [text for text in (event.reason, event.action and f"-> {event.action}") if text]
    tasks = f"(running: {', '.join(event.tasks)})" if event.tasks else ""
    by = f"by {event.by}" if event.by else ""
    return printable(" ".join(part for part in (head, *words, "; ".join(texts), tasks, by) if part))
