"""Format text for a terminal: tables, times, sizes, and colours that only a terminal gets (U3)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

COLOURS = {"green": "32", "yellow": "33", "red": "31", "cyan": "36", "faint": "2", "bold": "1"}


def printable(text: str) -> str:
    """Return `text` with every control character escaped: names and logs must not control a terminal."""
    if text.isprintable():
        return text
    import unicodedata

    return "".join(
        character if unicodedata.category(character)[0] != "C" else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def wants_colour(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal whose user has not asked for plain text."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """Return `text` in `colour` if `stream` is a terminal that wants colours."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if colour and wants_colour(stream) else text


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table; the columns named in `right` are right-aligned."""
    cells = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    sides = [str.rjust if name in right else str.ljust for name in header]
    return [
        "  ".join(side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)).rstrip()
        for row in cells
    ]


def moment(seconds: float, timespec: str = "minutes") -> str:
    """Return `seconds` since the epoch as local time, to the `timespec`; any number from a file is accepted."""
    from datetime import datetime  # imported when needed: monitoring runs procman every minute, and shows no times

    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec=timespec)
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s after 1970"


def local_time(seconds: float) -> tuple[str, str]:
    """Return `seconds` since the epoch as local time without its zone, and the short name of that zone."""
    from datetime import datetime

    try:
        local = datetime.fromtimestamp(seconds).astimezone()
    except (ValueError, OverflowError, OSError):
        return moment(seconds), ""
    return f"{local:%Y-%m-%d %H:%M:%S}", local.tzname() or ""


def size(count: float | None) -> str:
    """Return `count` bytes in MiB or GiB."""
    if count is None:
        return "-"
    mib = count / 1024**2
    return f"{mib:.0f} MiB" if mib < 1000 else f"{mib / 1024:.1f} GiB"


def see_explain(codes: Iterable[str]) -> str:
    """Return the line that names the command which explains `codes`, each once and in their order."""
    return f"See `procman explain {' '.join(dict.fromkeys(codes))}` for causes and remedies"


class Progress:
    """A line on stderr that shows the current step of a long wait; on a terminal only."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = 0

    def __call__(self, text: str) -> None:
        if not self._stream.isatty():
            return
        text = printable(text)[: _columns(self._stream) - 1]
        self._stream.write("\r" + text.ljust(self._shown))
        self._shown = len(text)
        self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Erase the line."""
        if self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._stream.flush()
            self._shown = 0


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
