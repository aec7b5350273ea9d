"""Frozen records to JSON and back, strictly: what cannot be exactly the record that was written is refused."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from procman.errors import ProcmanError

FORMAT = 1
"""Goes up when an older procman could no longer read what this one writes."""

Record = TypeVar("Record")


def to_bytes(record: object) -> bytes:
    """Return the JSON text of a record; the same bytes for the same record."""
    return json.dumps({"format": FORMAT, **_plain(record)}, indent=1).encode("ascii") + b"\n"


def from_bytes(kind: type[Record], content: bytes, path: Path) -> Record:
    """Return the record of KIND that `to_bytes` wrote; ProcmanError, naming PATH, for anything else."""
    try:
        data = json.loads(content)
        number = data.pop("format")
        _expect(number, int, "format")
        if number > FORMAT:
            raise ProcmanError(
                f"{path} was written by a newer procman (format {number}, this one knows {FORMAT})",
                hint="use the newer procman: pip install --upgrade procman",
            )
        record: Record = _parse(kind, data, "")
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ProcmanError(
            f"{path} cannot be read: {error}",
            hint=f"bring it back from a backup; or move {path.parent} away and install again: "
            "files that are as they should be are taken over",
        ) from error
    return record


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _parse(kind: Any, data: Any, where: str) -> Any:
    """Return DATA as KIND: a record, tuple, enum, path, text, number or truth value, or None where KIND allows it."""
    if get_origin(kind) in (Union, types.UnionType):
        inner = next(option for option in get_args(kind) if option is not type(None))
        return None if data is None else _parse(inner, data, where)
    if get_origin(kind) is tuple:
        _expect(data, list, where)
        return tuple(_parse(get_args(kind)[0], item, f"{where}[{index}]") for index, item in enumerate(data))
    if is_dataclass(kind):
        return _parse_record(kind, data, where)
    if issubclass(kind, Enum):
        return kind(data)
    if kind is Path:
        _expect(data, str, where)
        return Path(data)
    _expect(data, kind, where)
    return data


def _parse_record(kind: Any, data: Any, where: str) -> Any:
    _expect(data, dict, where)
    hints, required = _shape(kind)
    if strange := set(data) - set(hints):
        raise ValueError(f"{where or 'it'} has the unknown key {min(strange)!r}")
    if missing := required - set(data):
        raise ValueError(f"{where or 'it'} has no {min(missing)!r}")
    return kind(**{name: _parse(hints[name], value, f"{where}.{name}".lstrip(".")) for name, value in data.items()})


@lru_cache
def _shape(kind: Any) -> tuple[Mapping[str, Any], frozenset[str]]:
    required = (field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING)
    return get_type_hints(kind), frozenset(required)


def _expect(data: Any, kind: type, where: str) -> None:
    # Exactly: a bool is an int to isinstance.
    if type(data) is not kind:
        raise ValueError(f"{where or 'it'} is {data!r:.40}, expected {kind.__name__}")
