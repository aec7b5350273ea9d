"""Find the line of each key in a TOML file, even an invalid one; tomllib does not report lines."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

DEEPEST = 20
"""Parts of a path that are kept; no key of procman.toml has as many, but a hostile file has thousands."""

LONGEST_SHOWN = 60
"""Characters of a key that are shown, so that the message stays readable."""

_TEXT = r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\''''
_STRING = re.compile(rf"[ \t]*({_TEXT})", re.DOTALL)
_TOKEN = re.compile(
    rf"""(?P<line>\n)|\#[^\n]*|(?P<string>{_TEXT})|(?P<mark>[][{{}}=,])|(?P<bare>[^][{{}}=,.\s"'#]+)""", re.DOTALL
)


def dotted(*parts: str) -> str:
    """Return the path of a key as TOML writes it; safe to print, whatever the key contains.

    It identifies a key in messages and in `lines_of`. A part that is not a bare key is quoted, and control characters
    and line breaks are escaped.
    """
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part) else _quoted(part) for part in parts)


def _quoted(part: str) -> str:
    from procman.secrets import masked  # only for mistakes

    shown = masked(part)
    if len(shown) > LONGEST_SHOWN:
        shown = shown[:LONGEST_SHOWN] + "..."
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\u{ord(each):04X}" for each in escaped) + '"'


def lines_of(text: str) -> dict[str, int]:
    """Return the line of each key and table by its `dotted` path; an implied table has the line of its first key."""
    found: dict[str, int] = {}
    for path, line, _ in _positions(text):
        for length in range(1, len(path) + 1):
            found.setdefault(dotted(*path[:length]), line)
    return found


def line_of_deep_key(text: str) -> int | None:
    """Return the line of the first key of `DEEPEST` or more parts; tomllib would take quadratic time and memory."""
    if not any(line.count(".") >= DEEPEST - 1 for line in text.splitlines()):
        return None
    return next((line for path, line, _ in _positions(text) if len(path) >= DEEPEST), None)


def last_before(text: str, line: int) -> tuple[str, int]:
    """Return path and line of the last key or table that starts on `line` or before; `text` may be invalid TOML."""
    found = [(dotted(*path), begins) for path, begins, _ in _positions(text) if begins <= line]
    return found[-1] if found else ("", 0)


def texts_of(text: str, table: str) -> dict[str, str]:
    """Return the keys of `table` with their strings; an empty string for a value of another type.

    The rest of the file may be invalid; it is not read.
    """
    found: dict[str, str] = {}
    for path, _, end in _positions(text):
        is_header = text[end - 1] == "]"
        if is_header and path == (table,) and text[end : end + 1] == "]":
            return {}  # a list of tables
        if is_header and found and path[0] != table:
            break
        if path[:-1] == (table,):
            value = _STRING.match(text, end)
            found[path[-1]] = _unquoted(value[1]) if value else ""
    return found


class _Place:
    """The state before the next token: the table, the key being read, the open brackets."""

    def __init__(self) -> None:
        self.table: tuple[str, ...] = ()
        self.key: list[str] = []
        self.reads = "key"  # key, header or value
        self.open: list[tuple[str, ...] | None] = []  # the path of each open inline table, None for a list


def _positions(text: str) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Yield the path of each key and table, its line, and the index in `text` at which its value or content starts."""
    place, line = _Place(), 1
    for token in _TOKEN.finditer(text):
        if token["mark"]:
            path = _mark(place, token["mark"])
            if path:
                yield path, line, token.end()
        elif token["line"]:
            _end_of_line(place)
        elif place.reads != "value" and len(place.key) < DEEPEST and (token["bare"] or token["string"]):
            place.key.append(token["bare"] or _unquoted(token["string"]))
            if len(place.key) == DEEPEST:
                yield tuple(place.key), line, token.end()  # a hostile key may have no `=`
        line += token.group().count("\n")


def _mark(place: _Place, mark: str) -> tuple[str, ...] | None:
    if place.reads == "key" and mark == "=":
        return _begin_value(place)
    if place.reads == "key" and mark == "[" and not place.open:
        place.reads = "header"
    elif place.reads == "header":
        if mark == "]" and place.key:
            place.table, place.key = tuple(place.key), []
            return place.table
    else:
        _bracket(place, mark)
    return None


def _begin_value(place: _Place) -> tuple[str, ...]:
    around = next((path for path in reversed(place.open) if path is not None), place.table)
    path = (*around, *place.key)[:DEEPEST]
    place.reads = "value"
    place.key = list(path)
    return path


def _bracket(place: _Place, mark: str) -> None:
    if mark == "{":
        place.open.append(tuple(place.key))
    elif mark == "[":
        place.open.append(None)
    elif mark in "]}" and place.open:
        place.open.pop()
        place.reads = "value"
    if mark == "{" or (mark == "," and place.open and place.open[-1] is not None):
        place.key, place.reads = [], "key"


def _end_of_line(place: _Place) -> None:
    if not place.open:
        place.key, place.reads = [], "key"


def _unquoted(string: str) -> str:
    if "\\" not in string and string[1] != string[0]:
        return string[1:-1]
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        value: str = tomllib.loads(f"key = {string}")["key"]
    except tomllib.TOMLDecodeError:
        return string
    return value
