"""Compare two versions of procman.toml by their keys: which tables were added, removed or changed, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from procman.config import keys
from procman.config.keys import Key
from procman.project import Beat, Program, Project, Worker
from procman.secrets import is_secret, masked, masked_command

UNSET = "unset"

COMMAND_LINES = ("argv", "extra_arguments", "on_event", "reload_command")
"""Keys whose words are a command line, which may have a password behind an option."""


class KeyChange(NamedTuple):
    """A key with another value, as text without secrets."""

    key: str
    """`queues`, or with its table `environment.LANG`."""
    old: str
    new: str


@dataclass(frozen=True)
class TableChanges:
    """The changed keys of one table, such as `worker.crop`; instances of a worker share a table."""

    table: str
    changes: tuple[KeyChange, ...]


def project_changes(before: Project, after: Project) -> list[TableChanges]:
    """Return the changes to the tables of the whole project, in the order of the reference."""
    pairs = {
        "project": _changed(keys.PROJECT, before, after),
        "supervisor": _changed(keys.SUPERVISOR, before.supervisor, after.supervisor),
        "systemd": (
            *_changed(keys.SYSTEMD, before.systemd, after.systemd),
            *_entries("directives", before.systemd.directives, after.systemd.directives),
        ),
        "health": _changed(keys.HEALTH, before.health, after.health),
    }
    return [TableChanges(table, tuple(changes)) for table, changes in pairs.items() if changes]


def program_changes(before: Project, after: Project) -> list[TableChanges]:
    """Return the changes to each table of programs that both have, in starting order; without changes to `[health]`.

    The defaults in `[health]` apply to programs that do not set the key themselves.
    """
    inherited = set(_changed(keys.HEALTH, before.health, after.health))
    old = _by_table(before)
    tables = {table: (old[table], new) for table, new in _by_table(after).items() if table in old}
    found = [TableChanges(table, tuple(_of_program(*pair, inherited))) for table, pair in tables.items()]
    return [each for each in found if each.changes]


def _by_table(project: Project) -> dict[str, Program]:
    """Return the first instance of each table; all have the same keys."""
    return {program.key: program for program in reversed(project.programs)} if project.programs else {}


def _of_program(old: Program, new: Program, inherited: set[KeyChange]) -> Iterator[KeyChange]:
    changes = (*_changed(keys.PROGRAM, old, new), *_changed(_keys_of(new), old.options, new.options))
    yield from (change for change in changes if change not in inherited)
    yield from _entries("environment", old.environment, new.environment)
    yield from _entries("supervisor", old.supervisor_options, new.supervisor_options)
    yield from _entries("systemd", old.systemd_directives, new.systemd_directives)


def _keys_of(program: Program) -> tuple[Key, ...]:
    return {Worker: keys.WORKER, Beat: keys.BEAT}.get(type(program.options), keys.COMMAND)


def _changed(known: tuple[Key, ...], old: object, new: object) -> list[KeyChange]:
    pairs = ((key, getattr(old, key.field), getattr(new, key.field)) for key in known)
    return [KeyChange(key.name, _text(key.name, a), _text(key.name, b)) for key, a, b in pairs if a != b]


def _entries(table: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[KeyChange]:
    names = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
    return [KeyChange(f"{table}.{name}", _text(name, old.get(name)), _text(name, new.get(name))) for name in names]


def _text(name: str, value: object) -> str:
    match value:
        case None | ():
            return UNSET
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case tuple() if name in COMMAND_LINES:
            return masked_command(value)
        case tuple():
            return masked(", ".join(map(str, value)))
        case str():
            return "***" if is_secret(name, value) else masked(value)
        case _:
            return str(value)
