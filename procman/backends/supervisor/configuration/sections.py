"""Finds sections and options in a file of supervisord's, with their lines; pure.

The rules are those of Python's RawConfigParser as supervisor 4 sets it up, which itself forgets where things stood.
"""

from __future__ import annotations

import configparser
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

PROGRAM_KINDS = ("program", "fcgi-program", "eventlistener")
"""Sections that define a program."""

_HEADER = configparser.RawConfigParser.SECTCRE
_OPTION = re.compile(r"(?P<option>.*?)\s*[=:]\s*(?P<value>.*)$")


@dataclass(frozen=True)
class Option:
    """One option of a section; lines are counted from 1, `end` is the last one of its value."""

    name: str
    value: str
    line: int
    end: int


@dataclass(frozen=True)
class Section:
    """One section where it stands; the same section may stand in several places, and supervisord merges them."""

    kind: str
    """`program`, `group`...; the whole header where it has no name, such as `supervisord`."""
    name: str
    line: int
    end: int
    """The last line that belongs to it: blank lines and comments after it may speak of the next one."""
    options: tuple[Option, ...]

    @property
    def header(self) -> str:
        """Return the header without brackets."""
        return f"{self.kind}:{self.name}" if self.name else self.kind

    def value(self, option: str) -> str:
        """Return the value of OPTION that counts, which is the last; empty if there is none."""
        return next((found.value for found in reversed(self.options) if found.name == option), "")

    def members(self) -> list[str]:
        """Return the programs that a `[group:]` names."""
        return [member for member in map(str.strip, self.value("programs").split(",")) if member]


@dataclass
class _Open:
    """A section that is still being read."""

    header: str
    line: int
    end: int
    options: list[Option]

    def close(self) -> Section:
        kind, _, name = self.header.partition(":")
        return Section(kind.strip(), name.strip(), self.line, self.end, tuple(self.options))


def lines_of(text: str) -> list[str]:
    """Split TEXT at the line ends that a file has, and keep them."""
    return list(io.StringIO(text, newline=""))


def sections_of(text: str) -> list[Section]:
    """Return the sections of TEXT in order; what supervisord would not read either is passed over."""
    return [section.close() for section in _read(lines_of(text))]


def _read(lines: list[str]) -> Iterator[_Open]:
    section: _Open | None = None
    indent = 0
    for number, line in enumerate(lines, 1):
        value = without_comment(line)
        if not value:
            continue
        own_indent = len(line) - len(line.lstrip())
        if section and section.options and own_indent > indent:
            last = section.options[-1]
            section.options[-1] = Option(last.name, f"{last.value}\n{value}", last.line, number)
            section.end = number
            continue
        indent = own_indent
        header = _HEADER.match(value)
        if header:
            if section:
                yield section
            section = _Open(header["header"], number, number, [])
            continue
        option = _OPTION.match(value)
        if section and option:
            section.options.append(Option(option["option"].lower(), option["value"], number, number))
            section.end = number
    if section:
        yield section


def without_comment(line: str) -> str:
    """Return what counts of LINE: a `;` or `#` at its start or after a blank begins a comment, even inside quotes."""
    for at, character in enumerate(line):
        if character in ";#" and (not line[:at].strip() or line[at - 1].isspace()):
            return line[:at].strip()
    return line.strip()
