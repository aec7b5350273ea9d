"""Events as lines of text."""

from __future__ import annotations

import pytest

from procman.install.state.event_log import Event
from procman.output.events import as_header, as_line, as_rows, layout
from procman.output.terminal import local_time

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
            f"{NAME} healed by itself: was started again",
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


def test_rows_of_a_table_are_aligned_and_show_the_zone_once() -> None:
    zone = local_time(0.0)[1]
    events = [
        Event(0.0, NAME, "found", "PM301", "CRITICAL", "it is idle", by="healer"),
        Event(1.0, "", "rolled back", reason="to generation 1", by="ann"),
        Event(2.0, "catmaid-b", "stopped", tasks=("a",), by="ann"),
    ]
    whole = layout(len(NAME), None)
    lines = [as_header(zone, whole), *(line for event in events for line in as_rows(event, zone, whole))]
    starts = {line.index(text) for line, text in zip(lines, ["WHAT", "it is", "to gen", "(run"], strict=True)}
    assert len(starts) == 1
    assert zone in lines[0]
    assert not any(zone in line for line in lines[1:])


def test_row_of_another_zone_shows_its_own() -> None:
    time, own = local_time(0.0)
    [row] = as_rows(Event(0.0, NAME, "found"), "elsewhere", layout(len(NAME), None))
    assert row.startswith(f"{time} {own}  {NAME}")


FOUND = Event(
    0.0, "shop-transformation-7", "found", "PM301", "CRITICAL", "messages wait and it is idle for long", by="healer"
)


@pytest.mark.parametrize(
    ("width", "rows"),
    [
        (
            120,
            [
                "shop-transformation-7  found        PM301  CRITICAL  the watcher  messages wait and it is idle for",
                " " * 87 + "long",
            ],
        ),
        (
            88,
            [
                "shop-transformation-7  found        PM301  CRITICAL  the watcher",
                "    messages wait and it is idle for long",
            ],
        ),
        (80, ["shop-tran...mation-7  found        PM301  the watcher", "    messages wait and it is idle for long"]),
        (60, ["shop-tran...mation-7  found", "    messages wait and it is idle for long"]),
    ],
)
def test_rows_fit_the_terminal(width: int, rows: list[str]) -> None:
    columns = layout(len(FOUND.program), width)
    time, zone = local_time(0.0)
    found = list(as_rows(FOUND, zone, columns))
    assert [found[0].removeprefix(f"{time}  "), *found[1:]] == rows
    assert max(map(len, [*found, as_header("UTC", columns)])) <= width
