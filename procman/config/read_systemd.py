"""Reads `[systemd]` and the tables of directives: what is set must be known, and no promise may rest on it."""

from __future__ import annotations

import re

from procman.config import keys
from procman.config.document import Document, did_you_mean
from procman.config.systemd_directives import FREE, RESERVED, Directive
from procman.model import Scope
from procman.project import Project, SystemdSettings
from procman.quoting import unprintable
from procman.quoting.systemd import PATTERNS, Value
from procman.secrets import holds_password


def read_settings(document: Document) -> SystemdSettings:
    """Return what `[systemd]` says, complete; problems go to DOCUMENT."""
    table = document.section("systemd")
    return SystemdSettings(
        **document.read_all(table, "systemd", keys.SYSTEMD, ("directives",)),
        directives=read_directives(document, table.get("directives", {}), "systemd.directives"),
    )


def read_directives(document: Document, value: object, where: str) -> dict[str, tuple[str, ...]]:
    """Return the directives of the table WHERE, each with its values; a list in the table is several."""
    return document.read_entries(value, where, _problem, lambda given: tuple(map(_text, _values(given))))


def check_directives(document: Document, project: Project) -> None:
    """Note every directive that the systemd of PROJECT, or the manager of an ordinary user, does not have."""
    tables = {"systemd.directives": project.systemd.directives}
    tables |= {f"{program.key}.systemd": program.systemd_directives for program in project.programs}
    for where, table in tables.items():
        for directive in (FREE[name] for name in table):
            objection = _objection(directive, project)
            if objection:
                document.add_problem(f"{where}.{directive.name}", objection)


def _objection(directive: Directive, project: Project) -> str | None:
    if directive.since > project.systemd.minimum_version:
        return (
            f"systemd knows it since version {directive.since} only: "
            f"write minimum_version = {directive.since} in [systemd], or leave it out"
        )
    if project.scope is Scope.USER and not directive.user:
        return 'not possible with scope = "user": only the systemd of the host can do it'
    return None


def _problem(name: str, given: object) -> str | None:
    if name in RESERVED:
        return f"not possible: {RESERVED[name]}"
    if name not in FREE:
        return f"procman does not know it; `systemctl edit` of the unit can set any{did_you_mean(name, FREE)}"
    kind = FREE[name].value
    for value in _values(given):
        if not isinstance(value, str | int):
            return "expected a text, a whole number, true or false, or a list of them"
        text = _text(value)
        found = unprintable(text)
        if found:
            return f"expected a text of one line; it holds a {found}"
        if holds_password(text):
            return "it holds a password, and what procman writes can be read by others"
        if not re.fullmatch(PATTERNS[kind], text) or text != text.strip():
            return f"expected {kind.value}" + (", one each" if kind is Value.PATHS else "")
    return None


def _values(given: object) -> list[object]:
    return given if isinstance(given, list) else [given]


def _text(value: object) -> str:
    # systemd.syntax(7): "yes" and "no" are what its own files write.
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
