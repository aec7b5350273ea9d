"""Work out what supervisord makes of a program: sections merged, expansions filled in as its own parser does; pure.

The environment of the supervisord is not known for certain. A variable of it that is missing does not make a program
unreadable, as it would for supervisord, but leaves a mark in the value (`unknown_names`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from supervisor.datatypes import dict_of_key_value_pairs

from procman.backends.supervisor.configuration.redaction import without_content
from procman.backends.supervisor.configuration.sections import PROGRAM_KINDS, Section

MOST_PROCESSES = 1000
"""Of one program."""

LONGEST_VALUE = 1 << 20
"""Characters of an expanded value: a file may repeat a long variable thousands of times, or pad one to any width."""

_EXPANSION = re.compile(r"%\(([^)]*)\)[#0 +-]*([0-9]*)(?:\.([0-9]+))?")

_MARK = re.compile(r"_procman_unknown_((?:[0-9a-f]{2})+)_")
"""Letters, digits and `_` only: every parser of supervisor's keeps it within its word."""


@dataclass(frozen=True)
class Placed:
    """The effective value of an option, not expanded, and its place."""

    value: str
    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Settings:
    """The options of one header, merged from all sections and files that have it, in supervisord's reading order."""

    kind: str
    name: str
    file: Path
    """Where the section is; of several, the one that sets the command."""
    line: int
    options: Mapping[str, Placed]
    files: tuple[Path, ...]
    """Every file with a section of this header."""

    @property
    def header(self) -> str:
        """Return the header with its brackets."""
        return f"[{self.kind}:{self.name}]" if self.name else f"[{self.kind}]"


@dataclass(frozen=True)
class Process:
    """One process of a program, as supervisord would start it."""

    name: str
    command: str
    environment: Mapping[str, str] = field(repr=False)
    """Including that of `[supervisord]`, without what supervisord itself was started with."""
    directory: str


class Unreadable(Exception):
    """supervisord could not read an option; the message has its place, but not its value, which may be a secret."""

    def __init__(self, place: Placed, why: object) -> None:
        super().__init__(without_content(why))
        self.place = place


def merged(files: Iterable[tuple[Path, Sequence[Section]]], *, are_included: bool = True) -> list[Settings]:
    """Return the settings of each header of `files`, read in their order; the last value of an option wins.

    If `are_included`, by a main file that may be one of them, `%(here)s` is replaced by the directory of the file that
    has it, even after another `%`, as supervisord does.
    """
    found: dict[tuple[str, str], Settings] = {}
    for file, sections in files:
        for section in sections:
            key = (section.kind, section.name)
            before = found.get(key) or Settings(*key, file, section.line, {}, ())
            found[key] = _with(before, file, section, str(file.parent) if are_included else "%(here)s")
    defaults = found.pop(("DEFAULT", ""), None)
    return [_with_defaults(each, defaults) for each in found.values()]


def _with(before: Settings, file: Path, section: Section, here: str) -> Settings:
    new = {option.name: Placed(option.value.replace("%(here)s", here), file, option.line) for option in section.options}
    place = (file, section.line) if "command" in new else (before.file, before.line)
    files = tuple(dict.fromkeys((*before.files, file)))
    return Settings(before.kind, before.name, *place, {**before.options, **new}, files)


def _with_defaults(one: Settings, defaults: Settings | None) -> Settings:
    options = {**(defaults.options if defaults else {}), **one.options}
    return Settings(one.kind, one.name, one.file, one.line, options, one.files)


@dataclass(frozen=True)
class Supervisord:
    """One supervisord: what its expansions and its own section give every program."""

    expansions: Mapping[str, object] = field(repr=False)
    options: Mapping[str, Placed]
    """Of `[supervisord]`."""
    environment: Mapping[str, str] = field(repr=False)
    """The variables that `[supervisord]` sets for every program."""
    groups: Mapping[str, str]
    """The group of each program that a `[group:]` names."""


def supervisord_of(settings: Sequence[Settings], environment: Mapping[str, str], here: Path) -> Supervisord:
    """Return the supervisord that reads all `settings` and was started with `environment`, as far as that is known.

    `here` is the directory of its main file. Raises Unreadable.
    """
    own = next((each.options for each in settings if each.header == "[supervisord]"), {})
    known: dict[str, object] = {"here": str(here), "host_node_name": os.uname().nodename, **_named(environment)}
    variables = _variables(own, known)
    groups = {member: group.name for group in settings if group.kind == "group" for member in members(group)}
    return Supervisord({**known, **_named(variables)}, own, variables, groups)


def own_value(supervisord: Supervisord, option: str) -> str:
    """Return an option of `[supervisord]`, empty if not set. Raises Unreadable."""
    return _expanded(supervisord.options, option, supervisord.expansions)


def value_of(supervisord: Supervisord, program: Settings, option: str) -> str:
    """Return an option of `program` that is the same for all its processes, empty if not set. Raises Unreadable."""
    return _expanded(program.options, option, _expansions(supervisord, program))


def count_of(supervisord: Supervisord, program: Settings) -> int:
    """Return the number of processes of `program`. Raises Unreadable."""
    count = _number(program.options, "numprocs", _expansions(supervisord, program), 1)
    if count > MOST_PROCESSES:
        raise Unreadable(program.options["numprocs"], f"more than {MOST_PROCESSES} processes")
    return count


def processes_of(supervisord: Supervisord, program: Settings) -> list[Process]:
    """Return the processes of `program`. Raises Unreadable."""
    known = _expansions(supervisord, program)
    count = count_of(supervisord, program)
    first = _number(program.options, "numprocs_start", known, 0)
    each = ({**known, "process_num": number, "numprocs": count} for number in range(first, first + count))
    return [_process(supervisord, program, numbered) for numbered in each]


def _process(supervisord: Supervisord, program: Settings, known: Mapping[str, object]) -> Process:
    environment = _variables(program.options, known)
    # The variables of its own `environment` can be used in its command, directory and log (supervisor 4.2 to 4.4).
    known = {**known, **_named(environment)}
    return Process(
        _expanded(program.options, "process_name", known) or program.name,
        _expanded(program.options, "command", known),
        {**supervisord.environment, **environment},
        _expanded(program.options, "directory", known),
    )


def _expansions(supervisord: Supervisord, program: Settings) -> dict[str, object]:
    names = {"program_name": program.name, "group_name": supervisord.groups.get(program.name, program.name)}
    return {**supervisord.expansions, **names, "process_num": 0, "numprocs": 1}


def _named(environment: Mapping[str, str]) -> dict[str, object]:
    return {f"ENV_{name}": value for name, value in environment.items()}


def _variables(options: Mapping[str, Placed], known: Mapping[str, object]) -> dict[str, str]:
    text = _expanded(options, "environment", known)
    try:
        found: Mapping[str, str] = dict_of_key_value_pairs(text)
    except ValueError as error:
        raise Unreadable(options["environment"], error) from None
    return dict(found)


def is_program(settings: Settings) -> bool:
    """Return whether `settings` define something that supervisord runs."""
    return settings.kind in PROGRAM_KINDS


def unknown(name: str) -> str:
    """Return the mark for the value of the variable `name`, which is not known."""
    return f"_procman_unknown_{name.encode('utf-8', 'surrogateescape').hex()}_"


def unknown_names(value: str) -> list[str]:
    """Return the variables whose value is missing in the expanded `value`."""
    return list(dict.fromkeys(map(_name_of, _MARK.finditer(value))))


def as_written(value: str, form: str = "%(ENV_{})s") -> str:
    """Return the expanded `value` with `form` for each variable that is missing."""
    return _MARK.sub(lambda mark: form.format(_name_of(mark)), value)


def _name_of(mark: re.Match[str]) -> str:
    return bytes.fromhex(mark[1]).decode("utf-8", "replace")


class _Expansions(dict[str, object]):
    def __missing__(self, name: str) -> str:
        if not name.startswith("ENV_"):
            raise KeyError(name)
        return unknown(name.removeprefix("ENV_"))


def _expanded(options: Mapping[str, Placed], option: str, known: Mapping[str, object]) -> str:
    placed = options.get(option)
    if placed is None:
        return ""
    expansions = _Expansions(known)
    if _longest(placed.value, expansions) > LONGEST_VALUE:
        raise Unreadable(placed, f"{option} becomes longer than {LONGEST_VALUE} characters")
    try:
        return placed.value % expansions
    except KeyError as name:
        raise Unreadable(placed, f"{name} in {option} has no meaning for supervisord") from None
    except (TypeError, ValueError) as error:
        raise Unreadable(placed, f"{option} is badly formatted ({error}); a % is written as %%") from None


def _longest(value: str, expansions: Mapping[str, object]) -> int:
    """Return the number of characters that `value` has at most when it is expanded."""
    found = _EXPANSION.findall(value)
    widths = (int(width[:10] or 0) for _, *each in found for width in each)
    return len(value) + sum(len(str(expansions.get(name, ""))) for name, *_ in found) + sum(widths)


def _number(options: Mapping[str, Placed], option: str, known: Mapping[str, object], default: int) -> int:
    text = _expanded(options, option, known) or str(default)
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", text):
        # A variable that is not known, or not a number, which supervisord refuses.
        return default
    return int(text)


def members(group: Settings) -> Iterator[str]:
    """Yield the programs that a `[group:]` names."""
    programs = group.options.get("programs")
    for member in programs.value.split(",") if programs else ():
        if member.strip():
            yield member.strip()
