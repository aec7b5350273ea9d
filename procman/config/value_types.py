"""The kinds of value a key can have: what is expected, how it is read, how a JSON Schema says it."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from procman.config.numbers_with_units import as_number
from procman.config.read_file import NAME_PATTERN, normalised
from procman.quoting import unprintable
from procman.secrets import can_be_shown
from procman.suggest import nearest

Schema = Mapping[str, object]


class InvalidValue(Exception):
    """The value is not what its key expects; the text says why, if there is more to say."""


@dataclass(frozen=True)
class Type:
    """A kind of value. `read` gets the TOML value and the directory that relative paths start from."""

    expected: str
    schema: Schema
    read: Callable[[object, Path], object]
    write: Callable[[Any], object] = lambda value: value
    """From what was read back to TOML."""
    names: bool = False
    """Whether the text is a name, which a message may show; any other text may be a secret in the wrong place."""

    def problem(self, value: object, base: Path) -> str | None:
        """Return what is wrong with `value` and what would be right; None if it fits."""
        try:
            self.read(value, base)
        except InvalidValue as unfit:
            reason = str(unfit) or self._found(value)
            return f"expected {self.expected}" + (f" ({reason})" if reason else "")
        return None

    def _found(self, value: object) -> str:
        if isinstance(value, str):
            is_shown = self.names and can_be_shown(value)
            return f"found {json.dumps(value, ensure_ascii=False)}" if is_shown else ""
        return _found(value)


VARIABLE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*"
USER_PATTERN = r"[A-Za-z_][A-Za-z0-9_.-]*"
MODULE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"
UNIT_PATTERN = r"[A-Za-z0-9:_.\\@-]+\.(service|target|socket|mount|path|timer|device)"
NODE_NAME_PART = r"([^\s,@%-]|%[hnd])([^\s,@%]|%[hnd])*"
INCLUDE_PATTERN = r"/([^\s*?\[\]]*/)?[^\s*?\[\]/]*\*[^\s*?\[\]/]*"

A_YEAR = 31_536_000
LONGEST_NAME = 255
"""Bytes that one name in a path may have (NAME_MAX of Linux's filesystems)."""
UNPRINTABLE_PATTERN = r"[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufdd0-\ufdef\ufffe\uffff]"
"""What `unprintable` finds, as far as a pattern of JSON Schema can say it."""
NOT_ON_A_LINE = {"not": {"type": "string", "pattern": UNPRINTABLE_PATTERN}}


def _found(value: object) -> str:
    match value:
        case bool():
            return f"found {str(value).lower()}"
        case int() | float() if abs(value) >= 10**15:
            return "found a huge number"
        case int() | float():
            return f"found {value}"
        case datetime.date() | datetime.time():
            return "found a date or time: a text stands in quotes"
        case list() | tuple():
            return "found a list"
        case _:
            return "found a table"


def text_of_one_line(value: object) -> str:
    """Return `value` if it is a text that every file we write can hold; raises InvalidValue otherwise."""
    if not isinstance(value, str):
        raise InvalidValue
    found = unprintable(value)
    if found:
        raise InvalidValue(f"it holds a {found}")
    return value


def _read_text(value: object, _: Path) -> str:
    text = text_of_one_line(value)
    if not text:
        raise InvalidValue("it is empty")
    return text


def matching(expected: str, pattern: str, *, longest: int = 255, names: bool = False) -> Type:
    """Return the type of a text that is a PATTERN from end to end, with `names` one that a message may show."""

    def read(value: object, base: Path) -> str:
        text = _read_text(value, base)
        if len(text) > longest:
            raise InvalidValue(f"it has {len(text)} characters, {longest} are possible")
        if not re.fullmatch(pattern, text):
            raise InvalidValue
        return text

    schema = {"type": "string", "pattern": f"^({pattern})$", "maxLength": longest, **NOT_ON_A_LINE}
    return Type(expected, schema, read, names=names)


def _read_path(value: object, base: Path) -> Path:
    text = text_of_one_line(value)
    if not text.strip():
        raise InvalidValue("it is empty")
    if text != text.strip():
        raise InvalidValue("it begins or ends with a blank")
    if text.startswith("~"):
        raise InvalidValue("write the whole path: ~ means another directory for root than for the user")
    path = normalised(base / text)
    found = unprintable(str(path))
    if found:
        raise InvalidValue(f"write an absolute path: that of this file holds a {found}")
    longest = max(len(os.fsencode(part)) for part in path.parts)
    if longest > LONGEST_NAME:
        raise InvalidValue(f"a name in it has {longest} bytes, {LONGEST_NAME} are possible")
    return path


def _read_search_path(value: object, base: Path) -> Path:
    path = _read_path(value, base)
    if ":" in str(path):
        raise InvalidValue("it holds a colon, which separates the directories of PATH and PYTHONPATH")
    return path


def _text_for_number(read: Callable[[object, Path], object], text: str, unit: str) -> InvalidValue:
    """Return what is wrong with TEXT where READ takes a number, with the number to write if it takes that one."""
    number = as_number(text, unit)
    if number is None:
        return InvalidValue("found a text")
    try:
        read(number, Path("/"))
    except InvalidValue:
        return InvalidValue(f"{_found(number)}, in quotes")
    return InvalidValue(f"write {number}" + (" without quotes" if text == str(number) else ""))


def integer(minimum: int, maximum: int = 2**31 - 1, *, unit: str = "") -> Type:
    """Return the type of a whole number within bounds; `unit`, one of `FACTORS`, is for those who write another."""

    def read(value: object, _: Path) -> int:
        if isinstance(value, str):
            raise _text_for_number(read, value, unit)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise InvalidValue
        return value

    upper = "" if maximum == 2**31 - 1 else f" to {maximum}"
    schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    return Type(f"a whole number from {minimum}{upper}", schema, read)


def _read_seconds(value: object, _: Path) -> float:
    if isinstance(value, str):
        raise _text_for_number(_read_seconds, value, "seconds")
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= A_YEAR:
        raise InvalidValue
    return value


def _read_flag(value: object, _: Path) -> bool:
    if isinstance(value, str):
        raise InvalidValue("leave out the quotes")
    if not isinstance(value, bool):
        raise InvalidValue
    return value


def choice(*words: str) -> Type:
    """Return the type of one word out of several."""

    def read(value: object, _: Path) -> str:
        if not isinstance(value, str):
            raise InvalidValue
        if value not in words:
            near = nearest(value.lower(), words)
            raise InvalidValue(f'did you mean "{near}"?' if near else "")
        return value

    quoted = [f'"{word}"' for word in words]
    expected = f"one of {', '.join(quoted)}" if len(words) > 1 else f"{quoted[0]}, the only one so far"
    return Type(expected, {"enum": list(words)}, read)


def member(words: type[Enum]) -> Type:
    """Return the type of a word that stands for a member of an enumeration."""
    word = choice(*(each.value for each in words))
    return replace(word, read=lambda value, base: words(word.read(value, base)), write=lambda value: value.value)


def list_of(item: Type, expected: str, *, fewest: int = 0) -> Type:
    """Return the type of a list; what is wrong with its items is told together."""

    def read(value: object, base: Path) -> tuple[object, ...]:
        if isinstance(value, str):
            raise InvalidValue("found a text: put it in [ ]")
        if not isinstance(value, list):
            raise InvalidValue
        reasons = enumerate((_why(item, each, base) for each in value), 1)
        wrong = [f"item {number}: {reason}" for number, reason in reasons if reason]
        if wrong:
            raise InvalidValue("; ".join(wrong))
        if len(value) < fewest:
            raise InvalidValue("it is empty")
        return tuple(item.read(each, base) for each in value)

    schema = {"type": "array", "items": item.schema} | ({"minItems": fewest} if fewest else {})
    return Type(expected, schema, read)


def _why(item: Type, value: object, base: Path) -> str | None:
    try:
        item.read(value, base)
    except InvalidValue as unfit:
        return str(unfit) or (f"expected {item.expected}" if isinstance(value, str) else _found(value))
    return None


def _read_autoscale(value: object, _: Path) -> tuple[int, int]:
    match value:
        case [bool(), _] | [_, bool()]:
            raise InvalidValue("found true or false")
        case [int(one), int(other)] if min(one, other) >= 0 and 0 < max(one, other) <= 10_000:
            return max(one, other), min(one, other)
        case list():
            raise InvalidValue("found a list of something else, or numbers not from 0 to 10000")
        case _:
            raise InvalidValue


def _read_umask(value: object, _: Path) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        raise InvalidValue("found a number: put it in quotes")
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise InvalidValue
    return int(value, 8)


TEXT = Type("a text", {"type": "string", "minLength": 1, **NOT_ON_A_LINE}, _read_text)
FLAG = Type("true or false", {"type": "boolean"}, _read_flag)
_TOO_LONG = f"[^/]{{{LONGEST_NAME + 1}}}"  # in characters, which is all that a pattern can count
_PATH_SCHEMA = {"type": "string", "pattern": rf"^(?!.*{_TOO_LONG})[^\s~](.*[^\s])?$", **NOT_ON_A_LINE}
PATH = Type("a path, absolute or relative to this file", _PATH_SCHEMA, _read_path)
SEARCH_PATH = Type(
    "a path without a colon, absolute or relative to this file",
    {**_PATH_SCHEMA, "pattern": rf"^(?!.*{_TOO_LONG})[^\s~:]([^:]*[^\s:])?$"},
    _read_search_path,
)
SECONDS = Type(
    "a number of seconds above 0", {"type": "number", "exclusiveMinimum": 0, "maximum": A_YEAR}, _read_seconds
)
NAME = matching(
    "small letters, digits and '-', beginning with a letter, 63 characters at most",
    NAME_PATTERN,
    longest=63,
    names=True,
)
USER = matching("the name of a user or group", USER_PATTERN, longest=32)
VARIABLE = matching("the name of an environment variable", VARIABLE_PATTERN)
MODULE = matching("a Python module, such as mysite.settings", MODULE_PATTERN)
APP = matching("a Python module, such as mysite or mysite.celery:app", rf"{MODULE_PATTERN}(:{MODULE_PATTERN})?")
UNIT = matching("the name of a systemd unit, such as rabbitmq-server.service", UNIT_PATTERN)
QUEUE = matching("the name of a queue, without blanks or commas, and no - at its beginning", r"[^\s,-][^\s,]*")
NODE_NAME = matching(
    "a node name such as crop@%h (no blanks; %h host, %d domain, %n name)", f"{NODE_NAME_PART}@{NODE_NAME_PART}"
)
OPTIMIZATION = choice("default", "fair")
POOL = choice("prefork", "threads", "solo", "gevent", "eventlet")
SCHEDULER = matching(
    "a class or its short name, such as django", r"[A-Za-z_][A-Za-z0-9_-]*([.:][A-Za-z_][A-Za-z0-9_]*)*"
)
HTTP_URL = matching(
    "the URL of a host without user and password, such as http://127.0.0.1:15672",
    r"https?://[^\s/@?#]+(/[^\s@?#]*)?",
)
LOGLEVEL = choice("debug", "info", "warning", "error", "critical", "fatal")
UMASK = Type(
    'octal digits in quotes, such as "027"',
    {"type": "string", "pattern": "^0?[0-7]{3}$", **NOT_ON_A_LINE},
    _read_umask,
    lambda value: f"{value:03o}",
)
INCLUDE = matching(
    'an absolute path with one * in its last part, such as "/etc/supervisor/conf.d/*.conf"', INCLUDE_PATTERN
)
AUTOSCALE = Type(
    "two numbers of pool processes, such as [10, 3]",
    {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 10_000},
        "contains": {"minimum": 1},
        "minItems": 2,
        "maxItems": 2,
    },
    _read_autoscale,
)
TEXTS = list_of(TEXT, 'a list of texts, such as ["--one", "--other=2"]')
WORDS = list_of(TEXT, 'at least one word, such as ["celery", "-A", "mysite", "flower"]', fewest=1)
EVENT_COMMAND = list_of(TEXT, 'at least one word, such as ["/usr/local/sbin/tell-somebody"]', fewest=1)
QUEUES = list_of(QUEUE, 'a list of queue names, such as ["crop"]')
SEARCH_PATHS = list_of(SEARCH_PATH, 'a list of paths, such as ["/opt/site/lib"]')
PATHS = list_of(PATH, 'a list of paths, such as ["/var/lib/site/media"]')
UNITS = list_of(UNIT, 'a list of systemd units, such as ["rabbitmq-server.service"]')
VARIABLES = list_of(VARIABLE, "a list of variable names")
