"""How a project's units are called, and how long they may take to stop; all that `status` needs of them."""

from __future__ import annotations

from procman.model import InstalledProgram, Program

STOP_MARGIN_SECONDS = 30
"""Beyond the program's own stop timeout: the last result, the end of the pool."""


def unit_name(program: str) -> str:
    """Return the name of the unit of PROGRAM."""
    return f"{program}.service"


def target_name(project: str) -> str:
    """Return the name of the target of PROJECT."""
    return f"{project}.target"


def stop_timeout_seconds(program: Program | InstalledProgram) -> int:
    """Return the `TimeoutStopSec=` of PROGRAM."""
    return program.stop_timeout_seconds + STOP_MARGIN_SECONDS
