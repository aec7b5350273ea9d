"""procman.toml as text: parsed, with the line of each key and all problems collected for one report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from procman.config import toml_errors
from procman.config.keys import Key, place_of
from procman.config.toml_lines import dotted, line_of_deep_key, lines_of
from procman.errors import ConfigurationError
from procman.suggest import nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")
Table = Mapping[str, object]


class Document:
    """A parsed file and the problems found in it so far.

    A key is named by its path as `toml_lines.dotted` writes it: `worker.crop.queues`.
    """

    def __init__(self, path: Path, text: str, directory: Path | None = None) -> None:
        self.path = path
        self.directory = directory or path.parent
        """The directory that relative paths start from."""
        self.problems: list[tuple[int, str, str, str]] = []
        """(line, text, key, message); line 0 if the line is unknown."""
        self._text = text
        self._wrong: set[str] = set()
        deep = line_of_deep_key(text)
        if deep:
            problem = f"{path}:{deep}: this key has too many parts or is nested too deeply"
            raise ConfigurationError([problem], hint="No key of procman.toml has more than five parts.")
        try:
            self.root: Table = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            # A plain ValueError: a number of thousands of digits (Python 3.11 and later).
            raise ConfigurationError(
                [toml_errors.problem(path, text, error)], hint="The rest of the file is checked once this is fixed."
            ) from None

    @cached_property
    def _lines(self) -> dict[str, int]:
        # Only problems need them, and most files have none.
        return lines_of(self._text)

    def add_problem(self, key: str, message: str) -> None:
        """Note a problem with `key`, once, however often it is found."""
        self._wrong.add(key)
        line = self._line(key)
        place = f"{self.path}:{line}" if line else str(self.path)
        problem = (line, f"{place}: {key}: {message}", key, message)
        if problem not in self.problems:
            self.problems.append(problem)

    def is_valid(self, key: str) -> bool:
        """Return whether `key` itself has no problem so far; if it has one, problems that follow from it are noise."""
        return key not in self._wrong

    def setting(self, program: str, name: str) -> str:
        """Return the path of the key that sets `name` for `program`, such as `worker.crop`: its own or a default."""
        kind = program.partition(".")[0]
        places = (f"{where}.{name}" for where in (program, f"defaults.{kind}", "defaults.program"))
        return next((place for place in places if place in self._lines), f"{program}.{name}")

    def is_set(self, key: str) -> bool:
        """Return whether the file has `key`, even with its default as the value."""
        return key in self._lines

    def _line(self, key: str) -> int:
        while key not in self._lines and "." in key:
            key = key.rpartition(".")[0]
        return self._lines.get(key, 0)

    def section(self, name: str) -> Table:
        """Return the table `name` of the file; empty if it has none."""
        return self.table(self.root.get(name, {}), name)

    def table(self, value: object, name: str, example: str = "") -> Table:
        """Return `value` as the table `name`; anything else is a problem and counts as empty.

        The message shows `example` in the brackets, if it differs from `name`.
        """
        match value:
            case Mapping():
                return value
            case [Mapping() as only]:
                header = name if "." in name else example or name
                self.add_problem(name, f"expected a table, not a list of tables: write [{header}] in single brackets")
                return only
            case _:
                self.add_problem(
                    name, f"expected a table: write [{example or name}] on its own line, and its keys below"
                )
                return {}

    def read(self, table: Table, name: str, keys: Collection[Key], others: Collection[str] = ()) -> dict[str, object]:
        """Return the valid values of `table` by field; invalid values and unknown names are problems.

        Besides `keys`, the table may hold the names in `others`, which are read elsewhere.
        """
        known = {key.name: key for key in keys}
        values: dict[str, object] = {}
        for found, value in table.items():
            where = f"{name}.{dotted(found)}"
            if found in known:
                self._read_one(values, known[found], value, where)
            elif found not in others:
                self.add_problem(where, unknown(found, value, [*known, *others]))
        return values

    def _read_one(self, values: dict[str, object], key: Key, value: object, where: str) -> None:
        problem = key.type.problem(value, self.directory)
        if problem:
            self.add_problem(where, problem)
        else:
            values[key.field] = key.type.read(value, self.directory)

    def read_all(self, table: Table, name: str, keys: Collection[Key], others: Collection[str] = ()) -> dict[str, Any]:
        """Return the values of `read`, and the defaults of all other `keys`."""
        return {key.field: key.value for key in keys} | self.read(table, name, keys, others)

    def read_entries(
        self, value: object, where: str, problem: Callable[[str, Any], str | None], read: Callable[[Any], T]
    ) -> dict[str, T]:
        """Return the entries of the table `where`, converted by `read`; one with a `problem` is noted and left out."""
        found: dict[str, T] = {}
        for name, given in self.table(value, where).items():
            message = problem(name, given)
            if message:
                self.add_problem(f"{where}.{dotted(name)}", message)
            else:
                found[name] = read(given)
        return found

    def require(self, table: Table, name: str, keys: Iterable[Key]) -> None:
        """Note each required key that is not in `table`."""
        for key in keys:
            if key.required and key.name not in table:
                self.add_problem(f"{name}.{key.name}", f"missing: expected {key.type.expected}. {key.help}")

    def finish(self) -> None:
        """Raise ConfigurationError with all problems in the order of the file, if there are any."""
        if self.problems:
            found = sorted(self.problems, key=lambda problem: problem[0])
            keys = [(key, message) for _, _, key, message in found]
            raise ConfigurationError([text for _, text, _, _ in found], keys=keys)


def unknown(found: str, value: object, known: Collection[str]) -> str:
    """Return the message about the key or table `found`, which is not among the `known` names of its table."""
    what = "table" if isinstance(value, Mapping) else "key"
    if found == "command" and "argv" in known:
        return "unknown key; did you mean argv?"
    place = place_of(found)
    return f"unknown {what} here; {place}" if place else f"unknown {what}{did_you_mean(found, known)}"


def did_you_mean(found: str, known: Collection[str]) -> str:
    """Return a suggestion: the nearest of the `known` names, or all of them if none is near."""
    near = nearest(found.lower(), known, cutoff=0.7)
    return f"; did you mean {near}?" if near else f"; expected one of {', '.join(sorted(known))}"
