"""Read `[systemd]` and the tables of directives; unknown directives and those that procman needs are refused."""

from __future__ import annotations

import re

from procman.config import keys
from procman.config.document import Document, did_you_mean
from procman.config.systemd_directives import (
    FREE,
    KNOWN,
    OF_COMMANDS,
    RESERVED,
    RESERVED_OF_COMMANDS,
    VALUES_SINCE,
    Directive,
)
from procman.model import Scope
from procman.project import Project, SystemdSettings
from procman.quoting import unprintable
from procman.quoting.systemd import PATTERNS, Value
from procman.secrets import holds_password


def read_settings(document: Document) -> SystemdSettings:
    """Return the settings of `[systemd]` with all defaults, and note problems in `document`."""
    table = document.section("systemd")
    return SystemdSettings(
        **document.read_all(table, "systemd", keys.SYSTEMD, ("directives",)),
        directives=read_directives(document, table.get("directives", {}), "systemd.directives"),
    )


def read_directives(
    document: Document, value: object, where: str, *, is_command: bool = False
) -> dict[str, tuple[str, ...]]:
    """Return the directives of the table `where`, each with its values; a list gives several."""
    problem = _problem_of_command if is_command else directive_problem
    return document.read_entries(value, where, problem, lambda given: tuple(map(_text, _values(given))))


def check_directives(document: Document, project: Project) -> None:
    """Note every directive that the minimum version of systemd, or a user's systemd, does not support."""
    tables = {"systemd.directives": project.systemd.directives}
    tables |= {f"{program.key}.systemd": program.systemd_directives for program in project.programs}
    for where, table in tables.items():
        for name, values in table.items():
            objection = _objection(KNOWN[name], values, project)
            if objection:
                document.add_problem(f"{where}.{name}", objection)


def _objection(directive: Directive, values: tuple[str, ...], project: Project) -> str | None:
    since = max(directive.since, *(VALUES_SINCE.get((directive.name, value), 0) for value in values), 0)
    if since > project.systemd.minimum_version:
        return f"requires systemd {since}: set minimum_version = {since} in [systemd], or remove it"
    if project.scope is Scope.USER and not directive.user:
        return 'not possible with scope = "user": only the systemd of the host supports it'
    return None


def _problem_of_command(name: str, given: object) -> str | None:
    if name in RESERVED_OF_COMMANDS:
        return f"cannot be set: {RESERVED_OF_COMMANDS[name]}"
    if name not in OF_COMMANDS:
        return directive_problem(name, given)
    return None if given in OF_COMMANDS[name] else f"expected one of {', '.join(OF_COMMANDS[name])}"


def directive_problem(name: str, given: object) -> str | None:
    """Return why the directive `name` cannot have the value, or list of values, `given`; None if it can."""
    if name in RESERVED:
        return f"cannot be set: {RESERVED[name]}"
    if name not in FREE:
        return f"unknown directive (`systemctl edit UNIT` can set any){did_you_mean(name, FREE)}"
    kind = FREE[name].value
    for value in _values(given):
        if not isinstance(value, str | int):
            return "expected a string, a whole number, true or false, or a list of these"
        text = _text(value)
        found = unprintable(text)
        if found:
            return f"expected a string on one line (it contains a {found})"
        if holds_password(text):
            return "it contains a password, and other users can read the files that procman writes"
        if not re.fullmatch(PATTERNS[kind], text) or text != text.strip():
            return f"expected {kind.value}" + (", one per item" if kind is Value.PATHS else "")
    return None


def _values(given: object) -> list[object]:
    return given if isinstance(given, list) else [given]


def _text(value: object) -> str:
    # systemd's own units write "yes" and "no" (systemd.syntax(7)).
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
