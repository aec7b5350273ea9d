"""All keys of procman.toml by table, made from the fields of the records (`model.setting`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from procman.config import value_types
from procman.config.value_types import Type
from procman.model import HealthSettings, SupervisorSettings
from procman.project import (
    Beat,
    Command,
    KubernetesProgram,
    KubernetesSettings,
    Program,
    Project,
    SystemdSettings,
    Worker,
)


@dataclass(frozen=True)
class Key:
    """One key of one table.

    `default` is a TOML value; None: the key has no default, and `help` states what happens if it is unset. `field` is
    the name of the field in the record, and `value` the default as the record holds it.
    """

    name: str
    type: Type
    help: str
    default: object
    required: bool
    field: str
    value: object


def _keys_of(record: type) -> tuple[Key, ...]:
    hints = get_type_hints(record)
    return tuple(
        _key(field.name, hints[field.name], field.metadata, None if field.default is MISSING else field.default)
        for field in fields(record)
        if "help" in field.metadata
    )


def _key(field: str, hint: Any, about: Mapping[str, Any], value: object) -> Key:
    type_ = getattr(value_types, about["value"]) if about["value"] else _type_of(field, hint, about["between"])
    return Key(
        name=about["name"] or field,
        type=type_,
        help=about["help"],
        default=_as_toml(type_, value),
        required=about["required"],
        field=field,
        value=value,
    )


def _type_of(field: str, hint: Any, between: tuple[int, ...]) -> Type:
    if between:
        return value_types.integer(*between, unit=field.rpartition("_")[2])
    if isinstance(hint, type) and issubclass(hint, Enum):
        return value_types.member(hint)
    return {bool: value_types.FLAG, Path: value_types.PATH, Path | None: value_types.PATH}.get(hint, value_types.PATHS)


def _as_toml(type_: Type, value: object) -> object:
    if value is None:
        return None
    written = type_.write(value)
    # A list that must not be empty may be unset, but it cannot be written as an empty list.
    problem = type_.problem(list(written) if isinstance(written, tuple) else written, Path("/"))
    return None if problem else written


PROJECT = _keys_of(Project)
PROGRAM = _keys_of(Program)
WORKER = _keys_of(Worker)
BEAT = _keys_of(Beat)
COMMAND = _keys_of(Command)
SUPERVISOR = _keys_of(SupervisorSettings)
SYSTEMD = _keys_of(SystemdSettings)
HEALTH = _keys_of(HealthSettings)
KUBERNETES = _keys_of(KubernetesSettings)
KUBERNETES_PROGRAM = _keys_of(KubernetesProgram)

SINGLE_TABLES = {
    "project": PROJECT,
    "supervisor": SUPERVISOR,
    "systemd": SYSTEMD,
    "health": HEALTH,
    "kubernetes": KUBERNETES,
    "beat": (*PROGRAM, *BEAT),
}
NAMED_TABLES = {"worker": (*PROGRAM, *WORKER), "command": (*PROGRAM, *COMMAND)}
DEFAULTS_TABLES = {
    "program": tuple(key for key in PROGRAM if key.name != "adopts"),
    "worker": tuple(key for key in (*PROGRAM, *WORKER) if key.name not in ("adopts", "hostname")),
}

INCLUDES = {
    "/etc/supervisor/supervisord.conf": "/etc/supervisor/conf.d/*.conf",
    "/etc/supervisord.conf": "/etc/supervisord.d/*.ini",
}
"""The `[include]` pattern that Debian and Red Hat ship, by the path of supervisord's configuration file."""

SUPERVISOR_UNITS = {
    "/etc/supervisor/supervisord.conf": "supervisor.service",
    "/etc/supervisord.conf": "supervisord.service",
}
"""The units of their packages, by the same path."""

SUBTABLES = ("environment", "supervisor", "systemd", "kubernetes")
"""Tables that each program can have: `[worker.crop.environment]`."""

TABLES = (
    *("project", "defaults", "environment", "worker", "beat", "command"),
    *("supervisor", "systemd", "health", "kubernetes"),
)


def place_of(name: str) -> str:
    """Return where a key or table called `name` belongs; empty if there is none of that name."""
    if name in TABLES:
        return f"[{name}] is a top-level table"
    tables = {f"[{table}]": found for table, found in SINGLE_TABLES.items()}
    tables |= {f"[{table}.NAME]": found for table, found in NAMED_TABLES.items()}
    places = [table for table, found in tables.items() if any(key.name == name for key in found)]
    return f"it belongs in {' or '.join(places)}" if places else ""
