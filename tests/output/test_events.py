"""Events as lines of text."""

from __future__ import annotations

import pytest

from procman.install.state.event_log import Event
from procman.output.events import as_line

NAME = "catmaid-celery"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event(0.0, NAME, "released", by="ann"), f"{NAME} released by ann"),
        (Event(0.0, NAME, "held", reason="upgrade", by="root"), f"{NAME} held by root: upgrade"),
        (
            Event(0.0, NAME, "healing", "PM301", "CRITICAL", "it is idle", "sent SIGTERM", ("a.b", "c"), "healer"),
            f"{NAME} healing PM301 CRITICAL by the watcher: it is idle -> sent SIGTERM (running: a.b, c)",
        ),
        (
            Event(0.0, NAME, "stopped", tasks=("a.b", "c"), task_ids=("0a1b", "")),
            f"{NAME} stopped (running: a.b [0a1b], c)",
        ),
        (
            Event(0.0, NAME, "healed", action="was started again", by="inside"),
            f"{NAME} healed by itself -> was started again",
        ),
        (Event(0.0, "", "found", "PM603", "WARNING", "a\x1b[31m"), "project found PM603 WARNING: a\\x1b[31m"),
    ],
)
def test_event_is_one_line(event: Event, text: str) -> None:
    line = as_line(event)
    assert line.startswith("1970-01-0")
    assert line.split(" ", 2)[2] == text


def test_event_at_a_time_of_no_calendar_is_shown() -> None:
    assert as_line(Event(1e300, NAME, "found")) == f"1e+300 s after 1970 {NAME} found"
