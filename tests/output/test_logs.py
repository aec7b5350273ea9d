"""The names before the lines of several logs."""

from __future__ import annotations

import io
import os

import pytest

from procman.backends.logs import LogLine
from procman.output.logs import as_lines

NAMES = [f"shop-transformation-of-images-{number}" for number in (1, 2)]


def test_terminal_gets_short_names_in_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((60, 20)))
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    stream.fileno = lambda: 1  # type: ignore[method-assign]
    assert list(as_lines([LogLine(name, "x") for name in NAMES], NAMES, stream)) == [
        "\x1b[36mshop-tran...images-1 | \x1b[0mx",
        "\x1b[33mshop-tran...images-2 | \x1b[0mx",
    ]


def test_other_output_has_whole_names() -> None:
    assert list(as_lines([LogLine(NAMES[0], "x")], NAMES, io.StringIO())) == [f"{NAMES[0]} | x"]
