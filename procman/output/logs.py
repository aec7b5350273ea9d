"""Format the lines of several logs as one stream, with the name of the program before each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from procman.backends.logs import LogLine
from procman.output.terminal import coloured, distinct_width, shortened, width_of

COLOURS = ("cyan", "yellow", "green", "magenta", "blue")

SHORTEST_NAME = 12


def as_lines(found: Iterable[LogLine], names: Sequence[str], stream: TextIO) -> Iterator[str]:
    """Yield the lines in `found`; if they are of several programs, `names`, each begins with its program's."""
    if len(names) == 1:
        yield from (line.text for line in found)
        return
    prefixes = _prefixes(names, stream)
    for line in found:
        yield f"{prefixes.get(line.program) or f'{line.program} | '}{line.text}"


def _prefixes(names: Sequence[str], stream: TextIO) -> dict[str, str]:
    """Return the prefix of each program: on a terminal its name takes a third of the width at most, in a colour."""
    width, longest = width_of(stream), max(map(len, names), default=0)
    if width is not None and longest > max(SHORTEST_NAME, width // 3):
        longest = distinct_width(names, max(SHORTEST_NAME, width // 3))
    return {
        name: coloured(f"{shortened(name, longest):{longest}} | ", COLOURS[number % len(COLOURS)], stream)
        for number, name in enumerate(names)
    }
