"""How many files the programs may open under systemd: LimitNOFILE= of procman.toml, of a drop-in, or the default."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from procman.backends.base import FileLimit
from procman.errors import ProcmanError
from procman.host.systemctl import Systemctl
from procman.host.unit_names import unit_name
from procman.project import Program, Project

PROPERTIES = ("DropInPaths", "LimitNOFILESoft")

NO_UNIT = "procman-has-no-such.service"
"""systemd shows the default limits of its units for a unit that does not exist."""

SUFFIXES = ("", "K", "M", "G", "T")
"""Of numbers, with the base 1024 (systemd.exec(5))."""

REMEDY = 'Set LimitNOFILE = "{number}" under [systemd.directives]'


def limits_of(project: Project) -> Mapping[str, FileLimit]:
    """Return the limit of each program; without the programs whose limit only an unreachable systemd knows."""
    known = _of_host(project)
    found = {program.name: _configured(project, program) or known.get(program.name) for program in project.programs}
    return {name: FileLimit(most, REMEDY) for name, most in found.items() if most}


def _of_host(project: Project) -> dict[str, int]:
    names = {program.name: unit_name(program.name) for program in project.programs}
    try:
        shown = Systemctl(project.scope, timeout=5.0).show([*names.values(), NO_UNIT], PROPERTIES)
    except ProcmanError:
        return {}
    # Without a drop-in, an installed unit has what its earlier procman.toml set.
    units = {name: shown[unit if shown[unit].text("DropInPaths") else NO_UNIT] for name, unit in names.items()}
    return {name: limit for name, unit in units.items() if (limit := soft_limit(unit.text("LimitNOFILESoft")))}


def _configured(project: Project, program: Program) -> int | None:
    directives = {**project.systemd.directives, **program.systemd_directives}
    return soft_limit(next(reversed(directives.get("LimitNOFILE", ("",))), ""))


def soft_limit(value: str) -> int | None:
    """Return the soft limit in a value of LimitNOFILE=, `SOFT:HARD` or one number for both; None if it is invalid."""
    soft = value.partition(":")[0].strip()
    if soft == "infinity":
        return sys.maxsize
    found = re.fullmatch(r"(\d{1,15})([KMGT]?)", soft)
    return int(found[1]) * 1024 ** SUFFIXES.index(found[2]) if found else None
