"""procman.toml as text: parsed, with the line of each key, and every problem collected before anything is said."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from procman.config.keys import Key
from procman.config.types import Unfit
from procman.errors import ConfigurationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Table = Mapping[str, object]


class Document:
    """A parsed file and the problems found in it so far."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.problems: list[tuple[int, str]] = []
        """(line, text); line 0 where it cannot be told."""
        self._text = text
        try:
            self.root: Table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError([f"{path}: this is not TOML: {error}"]) from None

    def complain(self, key: str, message: str) -> None:
        """Note a problem with KEY, a dotted path such as `worker.crop.queues`; once, however often it is found."""
        line = line_of(self._text, key)
        place = f"{self.path}:{line}" if line else str(self.path)
        problem = (line, f"{place}: {key}: {message}")
        if problem not in self.problems:
            self.problems.append(problem)

    def table(self, value: object, name: str) -> Table:
        """Return VALUE as the table NAME; something else is a problem and counts as empty."""
        if isinstance(value, Mapping):
            return value
        self.complain(name, f"expected a table: write it as [{name}]")
        return {}

    def read(self, table: Table, name: str, keys: Collection[Key], others: Collection[str] = ()) -> dict[str, object]:
        """Return the values of TABLE by key, those that are there and fit; what does not belong is a problem.

        OTHERS are the names that may stand in the table besides KEYS and are read elsewhere.
        """
        known = {key.name: key for key in keys}
        values: dict[str, object] = {}
        for found, value in table.items():
            where = f"{name}.{found}"
            if found in known:
                self._read_one(values, known[found], value, where)
            elif found not in others:
                self.complain(where, "unknown key" + did_you_mean(found, [*known, *others]))
        return values

    def _read_one(self, values: dict[str, object], key: Key, value: object, where: str) -> None:
        try:
            values[key.name] = key.type.read(value, self.path.parent)
        except Unfit as unfit:
            reason = f" ({unfit})" if str(unfit) else ""
            self.complain(where, f"expected {key.type.expected}{reason}")

    def require(self, table: Table, name: str, keys: Collection[Key]) -> None:
        """Note each required key that is not in TABLE."""
        for key in keys:
            if key.required and key.name not in table:
                self.complain(f"{name}.{key.name}", f"missing: {key.help} Expected {key.type.expected}")

    def finish(self) -> None:
        """Raise every problem noted, in the order of the file, if there is any."""
        if self.problems:
            raise ConfigurationError([text for _, text in sorted(self.problems, key=lambda problem: problem[0])])


def did_you_mean(found: str, known: Collection[str]) -> str:
    """Return a hint at the nearest of the KNOWN names, or the whole list where none is near and they are few."""
    near = difflib.get_close_matches(found, known, n=1, cutoff=0.6)
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known here: {', '.join(sorted(known))}" if len(known) <= 12 else ""


def line_of(text: str, key: str) -> int:
    """Return the line on which the dotted KEY, or else the nearest table around it, stands; 0 if it cannot be told."""
    *tables, last = key.split(".")
    section: list[str] = []
    best = (0, 0)
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
        if header:
            section = _parts(header[1])
            depth = _shared([*tables, last], section)
            if depth == len(section) > best[0]:
                best = (depth, number)
            continue
        assigned = re.match(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""", line)
        if assigned and [*section, *_parts(assigned[1])] == [*tables, last]:
            return number
    return best[1]


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _shared(one: list[str], other: list[str]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
