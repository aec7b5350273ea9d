"""The kinds of value a key can have: what is expected, how it is read, how a JSON Schema says it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from procman.quoting import unprintable

Schema = Mapping[str, object]


class Unfit(Exception):
    """The value is not what its key expects; the text says why, if there is more to say."""


@dataclass(frozen=True)
class Type:
    """A kind of value. `read` gets the TOML value and the directory that relative paths start from."""

    expected: str
    schema: Schema
    read: Callable[[object, Path], object]


NAME_PATTERN = r"[a-z][a-z0-9-]*"
VARIABLE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*"
USER_PATTERN = r"[A-Za-z_][A-Za-z0-9_.-]*"
DOTTED_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(:[A-Za-z_][A-Za-z0-9_.]*)?"
UNIT_PATTERN = r"[A-Za-z0-9:_.\\@-]+\.(service|target|socket|mount|path|timer|device)"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Unfit
    found = unprintable(value)
    if found:
        raise Unfit(f"it holds a {found}")
    return value


def _pattern(expected: str, pattern: str, *, longest: int = 255) -> Type:
    def read(value: object, _: Path) -> str:
        text = _text(value)
        if not re.fullmatch(pattern, text) or len(text) > longest:
            raise Unfit
        return text

    return Type(expected, {"type": "string", "pattern": f"^({pattern})$", "maxLength": longest}, read)


def _read_text(value: object, _: Path) -> str:
    text = _text(value)
    if not text:
        raise Unfit("it is empty")
    return text


def _read_path(value: object, base: Path) -> Path:
    text = _text(value)
    if not text.strip():
        raise Unfit("it is empty")
    if text != text.strip():
        raise Unfit("it begins or ends with a blank")
    if text.startswith("~"):
        raise Unfit("write the whole path: ~ means another directory for root than for the user")
    return Path(_normalised(base / text))


def _normalised(path: Path) -> str:
    # os.path.normpath would keep a leading `//`; `..` is taken as written, as a shell's `cd` does.
    parts: list[str] = []
    for part in path.parts[1:]:
        if part == "..":
            del parts[-1:]
        else:
            parts.append(part)
    return "/" + "/".join(parts)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def integer(minimum: int, maximum: int = 2**31 - 1) -> Type:
    """Return the type of a whole number within bounds."""

    def read(value: object, _: Path) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise Unfit
        return value

    upper = "" if maximum == 2**31 - 1 else f" to {maximum}"
    schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    return Type(f"a whole number from {minimum}{upper}", schema, read)


def _read_seconds(value: object, _: Path) -> float:
    if not _is_number(value) or not 0 < value < math.inf:
        raise Unfit
    return value


def _read_flag(value: object, _: Path) -> bool:
    if not isinstance(value, bool):
        raise Unfit
    return value


def choice(*words: str) -> Type:
    """Return the type of one word out of several."""

    def read(value: object, _: Path) -> str:
        if value not in words or not isinstance(value, str):
            raise Unfit
        return value

    return Type("one of " + ", ".join(f'"{word}"' for word in words), {"enum": list(words)}, read)


def list_of(item: Type, expected: str) -> Type:
    """Return the type of a list; the problem found in an item is the list's."""

    def read(value: object, base: Path) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise Unfit
        return tuple(item.read(each, base) for each in value)

    return Type(expected, {"type": "array", "items": item.schema}, read)


def _read_autoscale(value: object, _: Path) -> tuple[int, int]:
    match value:
        case [int(one), int(other)] if min(one, other) >= 0 and max(one, other) > 0:
            return max(one, other), min(one, other)
        case _:
            raise Unfit


def _read_umask(value: object, _: Path) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise Unfit
    return int(value, 8)


TEXT = Type("a text", {"type": "string", "minLength": 1}, _read_text)
FLAG = Type("true or false", {"type": "boolean"}, _read_flag)
PATH = Type("a path, absolute or relative to this file", {"type": "string", "minLength": 1}, _read_path)
SECONDS = Type("a number of seconds above 0", {"type": "number", "exclusiveMinimum": 0}, _read_seconds)
NAME = _pattern(
    "small letters, digits and '-', beginning with a letter, 63 characters at most", NAME_PATTERN, longest=63
)
USER = _pattern("the name of a user or group", USER_PATTERN, longest=32)
VARIABLE = _pattern("the name of an environment variable", VARIABLE_PATTERN)
MODULE = _pattern("a Python module, such as mysite.settings", DOTTED_PATTERN)
UNIT = _pattern("the name of a systemd unit, such as rabbitmq-server.service", UNIT_PATTERN)
QUEUE = _pattern("the name of a queue, without blanks or commas", r"[^\s,]+")
NODE_NAME = _pattern("a node name such as crop@%h (no blanks)", r"[^\s,@]+@[^\s,@]+")
POOL = _pattern("prefork, threads, solo, gevent, eventlet, or a class", r"[A-Za-z_][A-Za-z0-9_.:]*")
LOGLEVEL = choice("debug", "info", "warning", "error", "critical")
UMASK = Type('octal digits in quotes, such as "027"', {"type": "string", "pattern": "^0?[0-7]{3}$"}, _read_umask)
AUTOSCALE = Type(
    "two numbers of pool processes, such as [10, 3]",
    {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2},
    _read_autoscale,
)
TEXTS = list_of(TEXT, "a list of texts")
QUEUES = list_of(QUEUE, 'a list of queue names, such as ["crop"]')
PATHS = list_of(PATH, "a list of paths")
UNITS = list_of(UNIT, "a list of systemd units")
VARIABLES = list_of(VARIABLE, "a list of variable names")
