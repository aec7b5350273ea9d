"""Text for a terminal."""

from __future__ import annotations

import io
import math
import os
import pty

import pytest

from procman.output.terminal import (
    Progress,
    coloured,
    folded,
    hint_lines,
    moment,
    printable,
    shortened,
    size,
    table,
    wrapped,
)


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


HEADER = ["NAME", "STATE", "PID", "DETAIL"]
LONG_ROWS = [
    ["shop-transformation-1", "RUNNING", "7", "it is consuming"],
    ["shop-transformation-2", "RUNNING", "8", ""],
]


@pytest.mark.parametrize(
    ("width", "first"),
    [
        (52, "shop-transformation-1  RUNNING    7  it is consuming"),
        (51, "shop-tran...mation-1  RUNNING    7  it is consuming"),
        (43, "shop-...on-1  RUNNING    7  it is consuming"),
        (40, "shop-...on-1  RUNNING    7  it is con..."),
        (35, "shop-...on-1  RUNNING    7  it i..."),
        (34, "shop-...on-1  RUNNING  it is co..."),
        (10, "shop-...on-1  RUNNING"),
    ],
)
def test_table_shortens_cells_and_leaves_out_columns_to_fit(width: int, first: str) -> None:
    lines = table(HEADER, LONG_ROWS, ["PID"], width=width, cut={"DETAIL": 7, "NAME": 12}, drop=["PID", "DETAIL"])
    assert lines[1] == first
    assert len(lines) == 3
    assert width == 10 or max(map(len, lines)) <= width


def test_different_names_stay_different_when_they_are_shortened() -> None:
    names = [f"shop-import-{place}-of-many-things" for place in ("europe", "africa")]
    lines = table(["NAME", "PID"], [[name, "7"] for name in names], width=12, cut={"NAME": 12})
    assert len(set(lines)) == 3


@pytest.mark.parametrize(
    ("width", "text"), [(12, "catmaid-crop"), (11, "catm...crop"), (4, "c..."), (2, ".."), (0, "")]
)
def test_name_loses_its_middle(width: int, text: str) -> None:
    assert shortened("catmaid-crop", width) == text


def test_long_text_is_wrapped_between_words_and_stays_indented() -> None:
    text = "catmaid-celery: it is idle; see `procman explain PM301` and the-word-that-does-not-fit"
    assert list(wrapped(text, 24)) == [
        "catmaid-celery: it is",
        "  idle; see",
        "  `procman explain PM301`",
        "  and",
        "  the-word-that-does-not-fit",
    ]
    assert list(wrapped(text, None)) == [text]
    assert list(wrapped("\x07", 24)) == ["\\x07"]


def test_text_behind_a_label_is_wrapped_below_itself() -> None:
    assert list(wrapped("one two three", 14, label="  State: ")) == ["  State: one", "         two", "         three"]


def test_line_of_a_log_is_folded_as_it_is() -> None:
    assert list(folded("one  two three four\x07", 12, "  ")) == ["  one  two t", "    hree fou", "    r\\x07"]
    assert list(folded("one  two", None, "  ")) == ["  one  two"]
    assert list(folded("", 12, "  ")) == [""]


def test_command_in_a_hint_is_never_wrapped() -> None:
    hint = "procman restart catmaid-celery catmaid-crop\nThen wait for it"
    assert list(hint_lines(hint, 12)) == ["  procman restart catmaid-celery catmaid-crop", "  Then wait", "    for it"]


def test_long_wait_prints_a_line_at_intervals_to_a_file() -> None:
    stream = io.StringIO()
    progress = Progress(stream, seconds=0)
    progress("one is stopping")
    progress("one\x07 is still stopping")
    progress.clear()
    assert stream.getvalue() == "one is stopping\none\\x07 is still stopping\n"


def test_file_gets_no_colour_and_no_progress_at_first() -> None:
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
