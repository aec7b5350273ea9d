"""Refresh the output of a command on a terminal until Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import click

T = TypeVar("T")

REFRESH_SECONDS = 2.0

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
"""The alternate screen of a terminal (xterm's control sequences): the lines before the command come back at its end."""
HOME, END_LINE, END_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def watch(examine: Callable[[], T], show: Callable[[T], Iterable[str]]) -> T | None:
    """Show the lines that `show` makes of what `examine` finds, again and again, until an interruption.

    Returns what was found last; None if the interruption came first.
    """
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        raise click.UsageError("--watch needs a terminal, and prints text only.")
    found = None
    try:
        with _alternate_screen():
            while True:
                found = examine()
                head = time.strftime("%H:%M:%S") + "  (every 2 s; press Ctrl-C to quit)"
                _draw([head, "", *show(found)])
                time.sleep(REFRESH_SECONDS)
    except KeyboardInterrupt:
        return found


@contextmanager
def _alternate_screen() -> Iterator[None]:
    def end(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    click.echo(ENTER, nl=False)
    try:
        yield
    finally:
        click.echo(LEAVE, nl=False)
        signal.signal(signal.SIGTERM, before)


def _draw(lines: Sequence[str]) -> None:
    """Draw over the screen, without clearing it first, which would flicker."""
    size = os.get_terminal_size(sys.stdout.fileno())
    shown = fitting(lines, size.columns or 80, size.lines or 24)
    click.echo(HOME + "\n".join(line + END_LINE for line in shown) + END_SCREEN, nl=False)


def fitting(lines: Sequence[str], columns: int, rows: int) -> list[str]:
    """Return the first of `lines` that fit, with the number of the others; a long line takes several rows."""
    heights = [max(1, -(-len(_COLOUR.sub("", line)) // columns)) for line in lines]
    if sum(heights) <= rows:
        return list(lines)
    fit = next(count for count in range(len(lines), -1, -1) if sum(heights[:count]) < rows)
    more = len(lines) - fit
    return [*lines[:fit], f"({more} more {'line' if more == 1 else 'lines'})"]
