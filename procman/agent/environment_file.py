"""The environment file of a program, read as systemd reads EnvironmentFile= (systemd.exec(5)).

One file serves both process managers. These are errors: lines that systemd drops with at most a line in its journal
(`export K=v`, a line without `=`), lines that systemd versions read differently, and an unclosed quote, which swallows
the rest of the file. No message shows a value or an invalid name, because an invalid name may be part of a value.
"""

import os
import re
from typing import Dict, List, NamedTuple, Sequence, Tuple

from .variable_rules import refusal

LARGEST = 1 << 20
"""Bytes."""

QUOTE_NOT_CLOSED = "a quote in this value is never closed"

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
QUOTED = r"""'([^']*)'|"([^"\\]*(?:\\.[^"\\]*)*)\""""
ENTRY = re.compile(
    r"""
    [ \t]*
    (?:
      (?P<comment>[#;][^\r\n]*)
    | (?P<name>[^=\r\n]*)=(?P<quoted>(?:[ \t]*(?:%s))*)[ \t]*(?P<unquoted>(?:\\(?:.|\Z)|[^\\\r\n])*)
    | (?P<other>[^ \t\r\n][^\r\n]*)
    )?
    """
    % QUOTED,
    re.DOTALL | re.VERBOSE,
)


class EnvironmentFileError(ValueError):
    """Every problem in an environment file: `problems` holds pairs of line number and message."""

    def __init__(self, problems: Sequence[Tuple[int, str]]) -> None:
        super().__init__("; ".join(f"line {line}: {message}" for line, message in problems))
        self.problems = tuple(problems)


class Assignment(NamedTuple):
    """One variable that an environment file sets."""

    line: int
    name: str
    value: str
    written: str
    """The text after the `=`, with quotes and escapes."""


def parse_environment_file(text: str) -> Dict[str, str]:
    """Return the variables that `text` sets; the last assignment of a name wins."""
    return {each.name: each.value for each in read_assignments(text)}


def read_assignments(text: str) -> List[Assignment]:
    """Return the assignments of `text`, in their order.

    `text` is the unchanged content: line ends not translated, bytes that are not UTF-8 decoded by `surrogateescape`.
    Raises `EnvironmentFileError` with all problems at once.
    """
    assignments, problems = [], []
    line, counted = 1, 0
    # ENTRY also matches blanks alone, so that a long run of them takes no time.
    for entry in (found for found in ENTRY.finditer(text) if found.group().strip(" \t")):
        line, counted = line + text.count("\n", counted, entry.start()), entry.start()
        problem = _problem(entry)
        if problem:
            problems.append((line, problem))
        elif entry["name"] is not None:
            written = entry.group().partition("=")[2]
            assignments.append(Assignment(line, entry["name"].strip(" \t"), _value(entry), written))
        if problem == QUOTE_NOT_CLOSED:
            break
    if problems:
        raise EnvironmentFileError(problems)
    return assignments


def _problem(entry: "re.Match[str]") -> str:
    if "\0" in entry.group():
        return "the line contains a NUL byte; this is not a text file"
    if entry["comment"] is not None:
        # systemd before 254 continues the comment on the next line; later versions do not.
        return "a comment must not end with a backslash" if entry["comment"].endswith("\\") else ""
    if entry["other"] is not None:
        return "the line has no `=`"
    if entry["unquoted"].startswith(("'", '"')):
        return QUOTE_NOT_CLOSED
    if not _is_utf8(_value(entry)):
        return "the value is not valid UTF-8"
    exported = re.fullmatch(r"export[ \t]+(%s)" % NAME, entry["name"].strip(" \t"))
    if exported:
        return f"remove `export`, which only shells understand: write {exported.group(1)}=..."
    if not re.fullmatch(NAME, entry["name"].strip(" \t")):
        return "the text before `=` is not a variable name (letters, digits and `_`, not starting with a digit)"
    return ""


def _value(entry: "re.Match[str]") -> str:
    quoted = [single + _read_double_quoted(double) for single, double in re.findall(QUOTED, entry["quoted"], re.DOTALL)]
    return "".join(quoted) + _read_unquoted(entry["unquoted"])


def _read_double_quoted(text: str) -> str:
    """Drop the backslashes that escape something and keep the others."""
    return re.sub(r'\\(["\\`$\n])', lambda escape: escape.group(1).strip("\n"), text)


def _read_unquoted(text: str) -> str:
    """Drop every backslash, every escaped line end, and trailing blanks that are not escaped."""
    pieces = re.findall(r"\\.?|[^\\]+", text, re.DOTALL)
    if pieces and not pieces[-1].startswith("\\"):
        pieces[-1] = pieces[-1].rstrip(" \t")
    return "".join(piece[1:].strip("\r\n") if piece.startswith("\\") else piece for piece in pieces)


def _is_utf8(value: str) -> bool:
    """Return whether systemd's utf8_is_valid() accepts `value`: no half characters, no reserved code points."""
    return not any(
        0xD800 <= point <= 0xDFFF or 0xFDD0 <= point <= 0xFDEF or point & 0xFFFE == 0xFFFE for point in map(ord, value)
    )


def refused_lines(assignments: Sequence[Assignment]) -> List[Tuple[int, str]]:
    """Return the lines that set a variable which no environment file may set, each with what to do."""
    return [(each.line, f"remove {each.name}: {refusal(each.name)}") for each in assignments if refusal(each.name)]


class UnusableFileError(Exception):
    """An environment file cannot be used: one line for each problem, with its place."""


def read_environment_file(source: str, name: str) -> Dict[str, str]:
    """Return the variables of the file at `source`; raise `UnusableFileError`, which names `name` and the lines."""
    try:
        with open(source, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UnusableFileError(
            f"cannot read the environment file {source}: {error.strerror}. Make it readable for uid {os.geteuid()}."
        ) from error
    if len(content) > LARGEST:
        raise UnusableFileError(f"{name}: larger than {LARGEST} bytes; this is not an environment file")
    try:
        assignments = read_assignments(content.decode("utf-8", "surrogateescape"))
        problems = refused_lines(assignments)
        if problems:
            raise EnvironmentFileError(problems)
    except EnvironmentFileError as error:
        raise UnusableFileError("\n".join(f"{name}:{line}: {message}" for line, message in error.problems)) from error
    return {each.name: each.value for each in assignments}
