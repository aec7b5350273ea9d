"""Format text for a terminal: tables, times, sizes, and colours that only a terminal gets (U3)."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TextIO

CUT = "..."

_WORD = re.compile(r"(?:`[^`]*`|[^ `]|`)+")

NAMES = ("NAME", "QUEUE")
"""Columns whose cells differ at both ends, so that they are shortened in the middle; others lose their end."""

PROGRESS_SECONDS = 30.0
"""How often a long wait prints a line if it is not watched on a terminal: CI ends a job that prints nothing."""

COLOURS = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "faint": "2",
    "bold": "1",
}


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


def width_of(stream: TextIO) -> int | None:
    """Return the number of columns of `stream`; None if it is no terminal, so that nothing must be shortened."""
    return _columns(stream) if stream.isatty() else None


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[str] = (),
    *,
    width: int | None = None,
    cut: Mapping[str, int] = MappingProxyType({}),
    drop: Sequence[str] = (),
) -> list[str]:
    """Return the lines of a table, the header first; the columns named in `right` are right-aligned.

    With a `width`, the table is made to fit: the columns in `cut` are shortened, to no less than the number given, and
    then the columns in `drop` are left out, in that order. The first in `cut` is shortened last.
    """
    cells = [list(header), *([printable(cell) for cell in row] for row in rows)]
    columns = list(zip(*cells, strict=True))
    if width is not None:
        columns = _fitted(columns, width, cut, drop)
    widths = [max(map(len, column)) for column in columns]
    sides = [str.rjust if column[0] in right else str.ljust for column in columns]
    return [
        "  ".join(side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]


def _fitted(
    columns: list[tuple[str, ...]], width: int, cut: Mapping[str, int], drop: Sequence[str]
) -> list[tuple[str, ...]]:
    by_name = {column[0]: column for column in columns}
    shortest = {
        name: min(_longest(by_name[name]), distinct_width(by_name[name], least) if name in NAMES else least)
        for name, least in cut.items()
    }
    for name in (None, *drop):
        columns = [column for column in columns if column[0] != name]
        fixed = sum(shortest.get(column[0], _longest(column)) for column in columns) + 2 * (len(columns) - 1)
        if fixed <= width:
            break
    spare = max(0, width - fixed)
    widths = {}
    for name, least in shortest.items():
        widths[name] = min(_longest(by_name[name]), least + spare)
        spare -= widths[name] - least
    return [
        tuple(shortened(cell, widths[column[0]], at_end=column[0] not in NAMES) for cell in column)
        if column[0] in widths
        else column
        for column in columns
    ]


def _longest(column: Sequence[str]) -> int:
    return max(map(len, column))


def distinct_width(column: Sequence[str], least: int) -> int:
    """Return the width, at least `least`, at which no two different texts in `column` are shortened to the same."""
    longest, different = _longest(column), len(set(column))
    widths = range(least, longest)
    return next((each for each in widths if len({shortened(cell, each) for cell in column}) == different), longest)


def shortened(text: str, width: int, *, at_end: bool = False) -> str:
    """Return `text` in at most `width` columns: without its middle, because names differ at both ends."""
    if len(text) <= width:
        return text
    kept = max(0, width - len(CUT))
    tail = 0 if at_end else kept // 2
    return text[: kept - tail] + CUT[:width] + text[len(text) - tail :]


def wrapped(text: str, width: int | None, indent: str = "", *, label: str = "") -> Iterator[str]:
    """Yield `text` in lines of at most `width` columns, those after the first with two more columns of `indent`.

    With a `label` before the first line, the others begin below the text behind it. A word that is too long stays
    whole, and so does a command in backticks.
    """
    text = printable(text)
    line, is_empty = label or indent, True
    for word in _WORD.findall(text) if width else [text]:
        if width and not is_empty and len(line) + 1 + len(word) > width:
            yield line
            line, is_empty = " " * len(label) or f"{indent}  ", True
        line += word if is_empty else f" {word}"
        is_empty = False
    yield line


def folded(text: str, width: int | None, indent: str = "") -> Iterator[str]:
    """Yield `text` as it is, in pieces of at most `width` columns, those after the first indented by two more."""
    text = printable(text)
    room = len(text) if width is None else max(1, width - len(indent))
    yield f"{indent}{text[:room]}".rstrip()
    if len(text) > room:
        yield from folded(text[room:], width, indent if indent.startswith("    ") else f"{indent}  ")


def hint_lines(hint: str, width: int | None) -> Iterator[str]:
    """Yield the lines of `hint`, indented; a sentence is wrapped, but a command stays whole: users copy it."""
    for line in hint.splitlines():
        yield from wrapped(line, width if line[:1].isupper() else None, indent="  ")


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


def count_accepted(codes: Sequence[str]) -> str:
    """Return a line with the number of accepted warnings, of which `codes` has the code of each; empty if none is."""
    counted = f"{len(codes)} accepted {'warning' if len(codes) == 1 else 'warnings'}"
    return f"{counted}: {', '.join(dict.fromkeys(codes))}" if codes else ""


class Progress:
    """A line on stderr that shows the current step of a long wait.

    On a terminal it is always the latest; otherwise a line is printed every `PROGRESS_SECONDS`.
    """

    def __init__(self, stream: TextIO | None = None, seconds: float = PROGRESS_SECONDS) -> None:
        self._stream = stream or sys.stderr
        self._seconds = seconds
        self._due = time.monotonic() + seconds
        self._shown = 0

    def __call__(self, text: str) -> None:
        text = printable(text)
        if not self._stream.isatty():
            self._print_if_due(text)
            return
        text = text[: _columns(self._stream) - 1]
        self._stream.write("\r" + text.ljust(self._shown))
        self._shown = len(text)
        self._stream.flush()

    def _print_if_due(self, text: str) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._seconds
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Erase the line, because another one follows."""
        self._due = time.monotonic() + self._seconds
        if self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._stream.flush()
            self._shown = 0


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
