"""Parse a configuration file of supervisord into sections and options with their line numbers; pure.

The rules are those of Python's RawConfigParser as configured by supervisor 4. The parser itself drops line numbers, and
its import takes longer than reading a file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

from procman.errors import ProcmanError
from procman.records import record

PROGRAM_KINDS = ("program", "fcgi-program", "eventlistener")
"""The kinds of sections that define a program."""

_HEADER = re.compile(r"\[(?P<header>.+)\]")
_OPTION = re.compile(r"(?P<option>[^=:]*)[=:]\s*(?P<value>.*)$")


class Malformed(ProcmanError):
    """A file that supervisord could not read; the message omits its content, which may be a password (S2)."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        self.path, self.line, self.why = path, line, why
        super().__init__(
            f"{path}:{line}: supervisord cannot read it: {why}",
            hint="Fix that line, then run the same command again.",
        )


@record(frozen=True)
class Option:
    """One option of a section; lines are counted from 1, `end` is the last one of its value."""

    name: str
    value: str
    line: int
    end: int


@record(frozen=True)
class Section:
    """One section at one place; supervisord merges sections with the same header."""

    kind: str
    """`program`, `group`...; the whole header if it has no name, such as `supervisord`."""
    name: str
    line: int
    end: int
    """The last line that belongs to it: blank lines and comments after it may belong to the next section."""
    options: tuple[Option, ...]

    @property
    def header(self) -> str:
        """Return the header without brackets."""
        return f"{self.kind}:{self.name}" if self.name else self.kind

    @property
    def values(self) -> dict[str, str]:
        """Return the effective value of each option, which is its last, without expansion."""
        return {option.name: option.value for option in self.options}

    def value(self, option: str) -> str:
        """Return the effective value of `option`; empty if not set."""
        return self.values.get(option, "")

    def members(self) -> list[str]:
        """Return the programs that a `[group:]` names."""
        return [member for member in map(str.strip, self.value("programs").split(",")) if member]


class _Open:
    """A section that is still being read."""

    def __init__(self, header: str, line: int, end: int) -> None:
        self.header, self.line, self.end = header, line, end
        self.options: list[Option] = []

    def close(self) -> Section:
        kind, _, name = self.header.partition(":")
        return Section(kind.strip(), name.strip(), self.line, self.end, tuple(self.options))


def lines_of(text: str) -> list[str]:
    """Split `text` at the line ends of a file, and keep them."""
    return list(io.StringIO(text, newline=""))


def sections_of(text: str) -> list[Section]:
    """Return the sections of `text` in order; skip lines that supervisord could not read."""
    return [section.close() for section in _read(lines_of(text), [])]


def read_sections(path: Path, text: str) -> list[Section]:
    """Return the sections of `text` in order. Raises Malformed with the first line that supervisord could not read."""
    return [section.close() for section in _read_all(path, text)]


def read_options(path: Path, text: str) -> dict[str, dict[str, str]]:
    """Return the effective options by section, with `[DEFAULT]` merged in. Raises Malformed as `read_sections` does.

    The keys are whole headers including blanks, because supervisord compares its own that way.
    """
    merged: dict[str, dict[str, str]] = {"DEFAULT": {}}
    for section in _read_all(path, text):
        merged.setdefault(section.header, {}).update((option.name, option.value) for option in section.options)
    return {header: merged["DEFAULT"] | options for header, options in merged.items()}


def _read_all(path: Path, text: str) -> list[_Open]:
    refused: list[int] = []
    sections = list(_read(lines_of(text), refused))
    if not refused:
        return sections
    if not sections or refused[0] < sections[0].line:
        bom = "the file begins with a byte order mark (BOM): save it without one"
        raise Malformed(path, refused[0], bom if text.startswith("\ufeff") else "there is no [section] above this line")
    more = f", and {len(refused) - 1} more like it" if refused[1:] else ""
    raise Malformed(path, refused[0], f"this line is neither a [section] nor NAME=VALUE{more}")


def _read(lines: list[str], refused: list[int]) -> Iterator[_Open]:
    """Yield the sections in `lines`, and append to `refused` the line numbers that supervisord could not read."""
    section: _Open | None = None
    indent = 0
    for number, line in enumerate(lines, 1):
        value = without_comment(line)
        if not value:
            continue
        own_indent = len(line) - len(line.lstrip())
        if section and section.options and section.options[-1].name and own_indent > indent:
            last = section.options[-1]
            section.options[-1] = Option(last.name, f"{last.value}\n{value}", last.line, number)
            section.end = number
            continue
        indent = own_indent
        header = _HEADER.match(value)
        if header:
            if section:
                yield section
            section = _Open(header["header"], number, number)
            continue
        option = _OPTION.match(value)
        name = option["option"].rstrip().lower() if option else ""
        if not section or not name:
            refused.append(number)
        if section and option:
            section.options.append(Option(name, option["value"], number, number))
            section.end = number
    if section:
        yield section


def without_comment(line: str) -> str:
    """Return `line` without its comment: `;` or `#` at its start or after a blank begins one, even inside quotes."""
    start = len(line) - len(line.lstrip())
    for at, character in enumerate(line):
        if character in ";#" and (at <= start or line[at - 1].isspace()):
            return line[:at].strip()
    return line.strip()
