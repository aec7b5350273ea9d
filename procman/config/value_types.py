"""The types of values: the text for the expected value, how it is read, and its JSON Schema."""

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

from procman.celery_cli.node_names import with_name
from procman.config.numbers_with_units import as_number
from procman.config.read_file import NAME_PATTERN, normalised
from procman.project import AUTO, STANDARD_STREAMS
from procman.quoting import unprintable
from procman.secrets import can_be_shown
from procman.suggest import nearest

Schema = Mapping[str, object]


class InvalidValue(Exception):
    """The value does not fit its key; the text gives the reason, if it adds to what the key expects."""


@dataclass(frozen=True)
class Type:
    """A type of values. `read` gets the TOML value and the directory that relative paths start from."""

    expected: str
    schema: Schema
    read: Callable[[object, Path], object]
    write: Callable[[Any], object] = lambda value: value
    """Converts a value that was read back to TOML."""
    names: bool = False
    """Whether a message may show the string, as a name; any other string may be a misplaced secret."""

    def problem(self, value: object, base: Path) -> str | None:
        """Return what `value` should be and what was found; None if it fits."""
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

LOG_FILE_PATTERN = r"([A-Za-z0-9/._-]|\{instance(:0[2-9])?\})+"

A_YEAR = 31_536_000
LONGEST_NAME = 255
"""Maximum number of bytes of one name in a path (NAME_MAX of Linux's filesystems)."""
UNPRINTABLE_PATTERN = r"[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufdd0-\ufdef\ufffe\uffff]"
"""The characters that `unprintable` finds, as far as a JSON Schema pattern can express it."""
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
            return "found a date or time: put strings in quotes"
        case list() | tuple():
            return "found a list"
        case _:
            return "found a table"


def text_of_one_line(value: object) -> str:
    """Return `value` if it is a string that every generated file can hold; otherwise raise InvalidValue."""
    if not isinstance(value, str):
        raise InvalidValue
    found = unprintable(value)
    if found:
        raise InvalidValue(f"it contains a {found}")
    return value


def _read_text(value: object, _: Path) -> str:
    text = text_of_one_line(value)
    if not text:
        raise InvalidValue("it is empty")
    return text


def matching(
    expected: str, pattern: str, *, longest: int = 255, names: bool = False, hint: Callable[[str], str] = lambda _: ""
) -> Type:
    """Return the type of a string that fully matches `pattern`; with `names`, a message may show it.

    `hint` returns the fault of a text that does not match, if it is clear.
    """

    def read(value: object, base: Path) -> str:
        text = _read_text(value, base)
        if len(text) > longest:
            raise InvalidValue(f"it has {len(text)} characters; the maximum is {longest}")
        if not re.fullmatch(pattern, text):
            raise InvalidValue(hint(text))
        return text

    schema = {"type": "string", "pattern": f"^({pattern})$", "maxLength": longest, **NOT_ON_A_LINE}
    return Type(expected, schema, read, names=names)


def _read_path(value: object, base: Path) -> Path:
    text = text_of_one_line(value)
    if not text.strip():
        raise InvalidValue("it is empty")
    if text != text.strip():
        raise InvalidValue("it starts or ends with a space")
    if text.startswith("~"):
        raise InvalidValue("write the full path: ~ is another directory for root than for the user")
    path = normalised(base / text)
    found = unprintable(str(path))
    if found:
        raise InvalidValue(f"write an absolute path: the path of this file contains a {found}")
    longest = max(len(os.fsencode(part)) for part in path.parts)
    if longest > LONGEST_NAME:
        raise InvalidValue(f"a name in it has {longest} bytes; the maximum is {LONGEST_NAME}")
    return path


def _read_search_path(value: object, base: Path) -> Path:
    path = _read_path(value, base)
    if ":" in str(path):
        raise InvalidValue("it contains a colon, which separates the directories of PATH and PYTHONPATH")
    return path


def _read_log_file(value: object, base: Path) -> Path:
    path = _read_path(value, base)
    if path.is_relative_to("/dev") and str(path) not in STANDARD_STREAMS:
        raise InvalidValue("a device cannot be rotated")
    if not re.fullmatch(LOG_FILE_PATTERN, str(path)):
        raise InvalidValue("use only letters, digits, '.', '_' and '-' in its path, as logrotate needs")
    return path


def _text_for_number(read: Callable[[object, Path], object], text: str, unit: str) -> InvalidValue:
    """Return the problem with a string in place of a number, with the number to write if `read` accepts it."""
    number = as_number(text, unit)
    if number is None:
        return InvalidValue("found a string")
    try:
        read(number, Path("/"))
    except InvalidValue:
        return InvalidValue(f"{_found(number)}, in quotes")
    return InvalidValue(f"write {number}" + (" without quotes" if text == str(number) else ""))


def integer(minimum: int, maximum: int = 2**31 - 1, *, unit: str = "") -> Type:
    """Return the type of a whole number within bounds; `unit`, one of `FACTORS`, converts numbers with other units."""

    def read(value: object, _: Path) -> int:
        if isinstance(value, str):
            raise _text_for_number(read, value, unit)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise InvalidValue
        return value

    bounds = f", at least {minimum}" if maximum == 2**31 - 1 else f" from {minimum} to {maximum}"
    schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    return Type(f"a whole number{bounds}", schema, read)


def _read_concurrency(value: object, base: Path) -> object:
    return value if value == AUTO else _COUNT.read(value, base)


def _read_seconds(value: object, _: Path) -> float:
    if isinstance(value, str):
        raise _text_for_number(_read_seconds, value, "seconds")
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= A_YEAR:
        raise InvalidValue
    return value


def _read_flag(value: object, _: Path) -> bool:
    if isinstance(value, str):
        raise InvalidValue("remove the quotes")
    if not isinstance(value, bool):
        raise InvalidValue
    return value


def choice(*words: str) -> Type:
    """Return the type of one of several words."""

    def read(value: object, _: Path) -> str:
        if not isinstance(value, str):
            raise InvalidValue
        if value not in words:
            lower = {word.lower(): word for word in words}
            near = nearest(value.lower(), lower)
            raise InvalidValue(f'did you mean "{lower[near]}"?' if near else "")
        return value

    quoted = [f'"{word}"' for word in words]
    expected = f"one of {', '.join(quoted)}" if len(words) > 1 else f"{quoted[0]}, the only value so far"
    return Type(expected, {"enum": list(words)}, read)


def member(words: type[Enum]) -> Type:
    """Return the type of a member of an enumeration, written as its value."""
    word = choice(*(each.value for each in words))
    return replace(word, read=lambda value, base: words(word.read(value, base)), write=lambda value: value.value)


def list_of(item: Type, expected: str, *, fewest: int = 0) -> Type:
    """Return the type of a list; the problems of all its items are reported together."""

    def read(value: object, base: Path) -> tuple[object, ...]:
        if isinstance(value, str):
            raise InvalidValue("found a string: put it in [ ]")
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
            raise InvalidValue("both must be whole numbers from 0 to 10000, the maximum at least 1")
        case _:
            raise InvalidValue


def _read_umask(value: object, _: Path) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        raise InvalidValue("found a number: put it in quotes")
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise InvalidValue
    return int(value, 8)


TEXT = Type("a string", {"type": "string", "minLength": 1, **NOT_ON_A_LINE}, _read_text)
FLAG = Type("true or false", {"type": "boolean"}, _read_flag)
_TOO_LONG = f"[^/]{{{LONGEST_NAME + 1}}}"  # in characters, which is all that a pattern can count
_PATH_SCHEMA = {"type": "string", "pattern": rf"^(?!.*{_TOO_LONG})[^\s~](.*[^\s])?$", **NOT_ON_A_LINE}
PATH = Type("a path, absolute or relative to this file", _PATH_SCHEMA, _read_path)
SEARCH_PATH = Type(
    "a path without a colon, absolute or relative to this file",
    {**_PATH_SCHEMA, "pattern": rf"^(?!.*{_TOO_LONG})[^\s~:]([^:]*[^\s:])?$"},
    _read_search_path,
)
LOG_FILE = Type(
    'a path, absolute or relative to this file, or "/dev/stdout" or "/dev/stderr"',
    {**_PATH_SCHEMA, "pattern": f"^(?!.*{_TOO_LONG}){LOG_FILE_PATTERN}$"},
    _read_log_file,
)
SECONDS = Type(
    "a number of seconds greater than 0", {"type": "number", "exclusiveMinimum": 0, "maximum": A_YEAR}, _read_seconds
)
NAME = matching(
    "lowercase letters, digits and '-', starting with a letter, at most 63 characters",
    NAME_PATTERN,
    longest=63,
    names=True,
)
USER = matching("the name of a user or group", USER_PATTERN, longest=32)
VARIABLE = matching("the name of an environment variable", VARIABLE_PATTERN)
MODULE = matching("a Python module, such as mysite.settings", MODULE_PATTERN)
APP = matching("a Python module, such as mysite or mysite.celery:app", rf"{MODULE_PATTERN}(:{MODULE_PATTERN})?")
UNIT = matching("the name of a systemd unit, such as rabbitmq-server.service", UNIT_PATTERN)
QUEUE = matching("the name of a queue, without spaces or commas, not starting with -", r"[^\s,-][^\s,]*")
_NODE_NAME = matching(
    "a node name without spaces, such as crop@%h (%h is the host, %d the domain, %n the name)",
    f"({NODE_NAME_PART}@)?{NODE_NAME_PART}",
)
NODE_NAME = replace(_NODE_NAME, read=lambda value, base: with_name(str(_NODE_NAME.read(value, base))))
SIGNAL = choice("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH")
OPTIMIZATION = choice("default", "fair")
POOL = choice("prefork", "threads", "solo", "gevent", "eventlet")
SCHEDULER = matching(
    "a class or its short name, such as django", r"[A-Za-z_][A-Za-z0-9_-]*([.:][A-Za-z_][A-Za-z0-9_]*)*"
)
HTTP_URL = matching(
    "a URL without user and password, such as http://127.0.0.1:15672",
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
_COUNT = integer(1, 10_000)
CONCURRENCY = Type(f'{_COUNT.expected}, or "{AUTO}"', {"anyOf": [_COUNT.schema, {"const": AUTO}]}, _read_concurrency)
AUTOSCALE = Type(
    "the maximum and minimum number of pool processes, such as [10, 3]",
    {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 10_000},
        "contains": {"minimum": 1},
        "minItems": 2,
        "maxItems": 2,
    },
    _read_autoscale,
)
TEXTS = list_of(TEXT, 'a list of strings, such as ["--one", "--other=2"]')
OTHER_PROGRAMS = list_of(TEXT, 'a list of names, such as ["export@%h", "reports.service"]')
WORDS = list_of(TEXT, 'a list of at least one word, such as ["celery", "-A", "mysite", "flower"]', fewest=1)
RELOAD_WORDS = list_of(TEXT, 'a list of words, such as ["bin/reload", "--gracefully"]')
WRAPPER = list_of(TEXT, 'a list of words, such as ["ddtrace-run"]')
EVENT_COMMAND = list_of(TEXT, 'a list of at least one word, such as ["/usr/local/sbin/page-admin"]', fewest=1)
QUEUES = list_of(QUEUE, 'a list of queue names, such as ["crop"]')
SEARCH_PATHS = list_of(SEARCH_PATH, 'a list of paths, such as ["/opt/site/lib"]')
PATHS = list_of(PATH, 'a list of paths, such as ["/var/lib/site/media"]')
UNITS = list_of(UNIT, 'a list of systemd units, such as ["rabbitmq-server.service"]')
CODE = matching("the code of a check, such as PM773", r"PM[0-9]{3}", names=True)
CODES = list_of(CODE, 'a list of the codes of warnings, such as ["PM773"]')
SOURCE = matching(
    "an existing program such as systemd:celery.service or supervisor:/etc/supervisor/conf.d/celery.conf:celery",
    r"((supervisor|procfile):/[^\x00-\x1f\x7f]+:[^\x00-\x1f\x7f:/]+|(systemd|init\.d):[^\x00-\x1f\x7f/:]+(:[^\x00-\x1f\x7f/:]+)?)",
)
SOURCES = list_of(SOURCE, 'a list of existing programs, such as ["systemd:celery.service"]')
VARIABLES = list_of(VARIABLE, "a list of variable names")
IMAGE = matching(
    "the name of an image, such as registry.example.org/catmaid:2026-11", r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", names=True
)
KUBERNETES_VERSION = matching(
    'a version of Kubernetes from 1.19 on, in quotes, such as "1.28"', r"1\.(19|[2-9][0-9])", names=True
)
PLATFORM = choice("fargate")
KEDA_BROKER = choice("rabbitmq", "redis")
PORTS = list_of(integer(1, 65_535), "a list of ports, such as [5672, 5432]")
