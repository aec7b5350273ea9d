"""How a project's units are called, and how long they may take to stop; all that `status` needs of them."""

from __future__ import annotations

from pathlib import Path

from procman.model import InstalledProgram, Kind
from procman.project import Program

STOP_MARGIN_SECONDS = 30
"""Beyond the program's own stop timeout: the last result, the end of the pool."""


def unit_name(program: str) -> str:
    """Return the name of the unit of PROGRAM."""
    return f"{program}.service"


def unit_of(program: InstalledProgram) -> str:
    """Return the unit that says whether PROGRAM runs: of what looks after the others, the timer."""
    return f"{program.name}.timer" if program.kind is Kind.HEALTH else unit_name(program.name)


def units_of(program: InstalledProgram) -> list[str]:
    """Return all units of PROGRAM, that of `unit_of` first."""
    return list(dict.fromkeys((unit_of(program), unit_name(program.name))))


def target_name(project: str) -> str:
    """Return the name of the target of PROJECT."""
    return f"{project}.target"


def stop_timeout_seconds(program: Program | InstalledProgram) -> int:
    """Return the `TimeoutStopSec=` of PROGRAM."""
    return program.stop_timeout_seconds + STOP_MARGIN_SECONDS


def unit_at(path: Path) -> str | None:
    """Return the unit that the file PATH is, or is a drop-in of; None if it is no file of systemd's."""
    for name in (path.name, path.parent.name.removesuffix(".d")):
        if name.endswith((".service", ".target", ".timer")):
            return name
    return None
