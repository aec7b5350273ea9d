"""Converts frozen records to JSON and back; refuses JSON that is not exactly such a record."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from procman.agent.strict_json import parse
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.model import JSON_NAME, is_left_out

FORMAT = 1
"""Increased when an older procman could no longer read what this one writes."""

Record = TypeVar("Record")

PLAIN = (str, int, bool)
"""The types that JSON has, too."""

Reader = Callable[[Any], Any]
"""Converts a JSON value to the value of a field, or raises `_Misfit`."""


def to_bytes(record: object) -> bytes:
    """Return the JSON text of a record; the same bytes for the same record."""
    return json.dumps({"format": FORMAT, **_plain(record)}, indent=1).encode("ascii") + b"\n"


def recovery_hint(directory: Path) -> str:
    """Return the hint for a missing or damaged record; the next install can do without all of `directory`."""
    return f"restore it from a backup; or move {directory} away and install again, which keeps unchanged files"


def from_bytes(kind: type[Record], content: bytes, path: Path, directory: Path | None = None) -> Record:
    """Return the record of `kind` that `to_bytes` wrote.

    Raises ProcmanError if `content`, that of `path`, is anything else; `directory`, by default the one with `path`, is
    what an administrator can move away then.
    """
    read: Reader = _reader(cast("Any", kind))
    try:
        data = parse(content.decode("utf-8"), most=len(content), surrogates=True)
        number = _reader(int)(data.pop("format"))
        if number > FORMAT:
            raise ProcmanError(
                f"{path} was written by a newer procman (format {number}; this version reads {FORMAT})",
                hint="upgrade procman: pip install --upgrade celery-procman",
            )
        record: Record = read(data)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ProcmanError(f"{path} cannot be read: {error}", hint=recovery_hint(directory or path.parent)) from error
    return record


def read(tree: Tree, kind: type[Record], path: Path) -> Record | None:
    """Return the record of `kind` in the file `path`; None if there is none, or none that can be read and trusted."""
    try:
        content = tree.read_private(path)
        return from_bytes(kind, content, path) if content else None
    except ProcmanError:
        return None


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        values = ((field, getattr(value, field.name)) for field in fields(value))
        return {
            field.metadata.get(JSON_NAME, field.name): _plain(each)
            for field, each in values
            if not is_left_out(field, each)
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


class _Misfit(ValueError):
    """A value that its field cannot hold; `where` becomes longer as the error is passed up."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where.lstrip('.') or 'it'} {what}")
        self.where, self.what = where, what

    def below(self, where: str) -> _Misfit:
        return _Misfit(where + self.where, self.what)


@cache
def _reader(kind: Any) -> Reader:
    """Return the reader for `kind`: a record, tuple, enum, path, text, number, truth value, or one of these or None."""
    if get_origin(kind) in (Union, types.UnionType):
        return _optional(next(option for option in get_args(kind) if option is not type(None)))
    if get_origin(kind) is tuple:
        return _items(get_args(kind)[0])
    if is_dataclass(kind):
        return _fields(kind)
    if issubclass(kind, Enum):
        return _one_of(kind)
    if kind is Path:
        return lambda data: Path(_expect(data, str))
    return lambda data: _expect(data, kind)


def _optional(kind: Any) -> Reader:
    read = _reader(kind)
    return lambda data: None if data is None else read(data)


def _items(kind: Any) -> Reader:
    read = _reader(kind)

    def read_items(data: Any) -> tuple[Any, ...]:
        items = []
        for index, item in enumerate(_expect(data, list)):
            try:
                items.append(read(item))
            except _Misfit as misfit:
                raise misfit.below(f"[{index}]") from None
        return tuple(items)

    return read_items


def _fields(kind: Any) -> Reader:
    names = {field.metadata.get(JSON_NAME, field.name): field.name for field in fields(kind)}
    is_renamed = any(key != name for key, name in names.items())
    required = {field.name for field in fields(kind) if field.default is field.default_factory is MISSING}
    types_of_fields = get_type_hints(kind)
    hints = {key: types_of_fields[name] for key, name in names.items()}
    readers = {name: _reader(hint) for name, hint in hints.items()}
    # Most fields of a manifest are plain: a call for each would take as long as everything else.
    plain = {name: next((each for each in PLAIN if hint in (each, each | None)), None) for name, hint in hints.items()}

    def read_fields(data: Any) -> Any:
        if strange := _expect(data, dict).keys() - readers.keys():
            raise _Misfit("", f"has the unknown key {min(strange)!r}")
        if missing := required - data.keys():
            raise _Misfit("", f"has no {min(missing)!r}")
        values: dict[str, Any] = {}
        name = ""
        try:
            for name, value in data.items():
                values[name] = value if type(value) is plain[name] else readers[name](value)
        except _Misfit as misfit:
            raise misfit.below(f".{name}") from None
        if is_renamed:
            values = {names[key]: value for key, value in values.items()}
        if len(values) < len(readers):
            return kind(**values)
        # The constructor would compare the fields again, which for thousands of records doubles the time.
        record = object.__new__(kind)
        record.__dict__.update(values)
        return record

    return read_fields


def _one_of(kind: type[Enum]) -> Reader:
    # A dictionary is several times as fast as a call of the class.
    members = {member.value: member for member in kind}

    def read_member(data: Any) -> Enum:
        try:
            return members[data]
        except (KeyError, TypeError):
            raise _Misfit("", f"is {data!r:.40} is not a valid {kind.__name__}") from None

    return read_member


def _expect(data: Any, kind: type) -> Any:
    # Not isinstance, because to that a bool is an int.
    if type(data) is not kind:
        raise _Misfit("", f"is {data!r:.40}, expected {kind.__name__}")
    return data
