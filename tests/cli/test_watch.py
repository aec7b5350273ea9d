"""What `--watch` shows of an output that is longer than the terminal."""

from __future__ import annotations

import pytest

from procman.cli.watch import fitting


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["one", "two", "three"], ["one", "two", "three"]),
        (["one", "two", "three", "four"], ["one", "two", "(2 more lines)"]),
        (["x" * 11, "two"], ["x" * 11, "two"]),
        (["x" * 11, "two", "three"], ["x" * 11, "(2 more lines)"]),
        (["\x1b[31m" + "x" * 10 + "\x1b[0m", "", "three"], ["\x1b[31m" + "x" * 10 + "\x1b[0m", "", "three"]),
        (["x" * 40], ["(1 more line)"]),
    ],
)
def test_lines_that_do_not_fit_are_counted(lines: list[str], shown: list[str]) -> None:
    assert fitting(lines, 10, 3) == shown
