"""Verify the systemd unit of procman's own supervisord, and the programs it runs, before the install (R6, S3)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from procman.backends.supervisor.systemd_unit import UNIT
from procman.config.trust import trust_problems
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.systemd_analyze import verify_units
from procman.host.unit_names import unit_at
from procman.model import Scope
from procman.project import Project, Rendering


def problems_of_unit(project: Project, rendering: Rendering) -> list[str]:
    """Return why systemd must not or cannot start the supervisord that `project` names; empty if it names none."""
    supervisord = project.supervisor.supervisord
    if supervisord is None:
        return []
    try:
        return [*_commands(project, supervisord), *_unit(project, rendering)]
    except ProcmanError as error:
        return [error.in_one_line]


def _commands(project: Project, supervisord: Path) -> Iterator[str]:
    key = f"{project.configuration_file}: supervisor.supervisord"
    for command in (supervisord, supervisord.with_name("supervisorctl")):
        if not os.access(command, os.X_OK):
            yield (
                f"{key}: {command} is not an executable file: supervisord and supervisorctl must be in one directory, "
                "as in procman's own virtualenv"
            )
        elif project.scope is Scope.SYSTEM:
            for path in (command, *_interpreter(command)):
                yield from (
                    f"{key}: root runs it, but other users can change it: {each}" for each in trust_problems(path, {0})
                )


def _interpreter(script: Path) -> Iterator[Path]:
    """Yield the interpreter in the first line of `script`, which root runs too."""
    with script.open("rb") as file:
        first = file.readline(4096)
    if first.startswith(b"#!/"):
        yield Path(os.fsdecode(first[2:].split()[0]))


def _unit(project: Project, rendering: Rendering) -> Iterator[str]:
    try:
        version = systemd_host.version()
    except ProcmanError:
        # `install` reports that systemd is not available.
        return
    if project.scope is Scope.USER and systemd_host.unreachable(project.scope):
        return
    for place in systemd_host.unit_path(project.scope):
        if place != project.directories.units and os.path.lexists(place / UNIT):
            yield f"{place / UNIT} is not managed by procman, and procman's unit would override it: remove it"
    units = project.directories.units
    files = [file for file in rendering.files if unit_at(file.path)]
    staged = {str(file.path.relative_to(units)): file.content for file in files}
    yield from verify_units(project.scope, units, staged, version)
