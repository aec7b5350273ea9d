"""The names and stop timeouts of a project's units, for `status`, which imports nothing else about units."""

from __future__ import annotations

from pathlib import Path

from procman.model import InstalledProgram, Kind
from procman.project import Program

STOP_MARGIN_SECONDS = 30
"""Added to the program's own stop timeout, for the last result and the end of the pool."""


def unit_name(program: str) -> str:
    """Return the name of the service of `program`."""
    return f"{program}.service"


def unit_of(program: InstalledProgram) -> str:
    """Return the unit whose state is that of `program`: for the watcher, the timer."""
    return f"{program.name}.timer" if program.kind is Kind.HEALTH else unit_name(program.name)


def units_of(program: InstalledProgram) -> list[str]:
    """Return all units of `program`, the one from `unit_of` first."""
    return list(dict.fromkeys((unit_of(program), unit_name(program.name))))


def target_name(project: str) -> str:
    """Return the name of the target of `project`."""
    return f"{project}.target"


def stop_timeout_seconds(program: Program | InstalledProgram) -> int:
    """Return the `TimeoutStopSec=` of `program`."""
    return program.stop_timeout_seconds + STOP_MARGIN_SECONDS


def unit_at(path: Path) -> str | None:
    """Return the unit that the file `path` defines or is a drop-in of; None if it is neither."""
    for name in (path.name, path.parent.name.removesuffix(".d")):
        if name.endswith((".service", ".target", ".timer")):
            return name
    return None
