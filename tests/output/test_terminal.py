"""Text for a terminal."""

from __future__ import annotations

import io
import math
import os
import pty

import pytest

from procman.output.terminal import Progress, coloured, moment, printable, size, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("catmaid-celery", "catmaid-celery"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("two\nlines", "two\\nlines"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("Größe", "Größe"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_time_that_no_calendar_has_is_shown_in_seconds() -> None:
    assert moment(0.0, "seconds").startswith(("1970-01-01 ", "1969-12-31 "))
    assert moment(8.6e15) == "8.6e+15 s after 1970"
    assert moment(math.inf) == "inf s after 1970"


@pytest.mark.parametrize(
    ("count", "text"), [(None, "-"), (0, "0 MiB"), (45 * 1024**2, "45 MiB"), (1536 * 1024**2, "1.5 GiB")]
)
def test_sizes_are_in_binary_units(count: float | None, text: str) -> None:
    assert size(count) == text


def test_table_aligns_columns_and_right_aligns_figures() -> None:
    lines = table(["NAME", "PID", "STATE"], [["one", "7", "RUNNING"], ["three", "1234", "\x07"]], right=["PID"])
    assert lines == ["NAME    PID  STATE", "one       7  RUNNING", "three  1234  \\x07"]


def test_file_gets_no_colour_and_no_progress() -> None:
    stream = io.StringIO()
    Progress(stream)("waiting")
    assert stream.getvalue() == ""
    assert coloured("ok", "green", stream) == "ok"


def test_progress_is_one_line_that_is_erased_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as stream:
        progress = Progress(stream)
        progress("waiting for one")
        progress("two")
        progress.clear()
        assert coloured("ok", "green", stream) == "\x1b[32mok\x1b[0m"
        # A terminal hands over what it has, which may be a piece.
        expected, shown = ["", "waiting for one", "two            ", "   ", ""], ""
        while len(shown) < len("\r".join(expected)):
            shown += os.read(reader, 1000).decode()
    assert shown.split("\r") == expected
    os.close(reader)
