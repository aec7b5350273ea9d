"""PM116: check that the keeper of a worker that overlaps still does its work."""

from __future__ import annotations

import time
from collections.abc import Iterator

from procman.agent.verdict import format_duration
from procman.host.process import suspended
from procman.model import Level, Result
from procman.monitoring.checks.inputs import Keeper, ProjectSnapshot

SILENT_SECONDS = 40.0
"""A keeper describes its processes every 10 seconds."""


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether each keeper has described its processes lately; a frozen one starts and stops none."""
    for snapshot in running.programs:
        keeper = snapshot.keeper
        if keeper is None or keeper.written is None:
            continue
        silent = time.monotonic() - keeper.written
        is_silent = silent > SILENT_SECONDS
        problem, hint = _problem(keeper, silent, snapshot.program.name) if is_silent else ("", "")
        yield Result("PM116", snapshot.program.name, Level.WARNING if is_silent else Level.OK, problem, hint)


def _problem(keeper: Keeper, silent: float, name: str) -> tuple[str, str]:
    lasts = f"its keeper, process {keeper.pid}, has done nothing for {format_duration(silent)}"
    if suspended(keeper.pid):
        return f"{lasts}: it is suspended by a signal", f"kill -CONT {keeper.pid}"
    hint = f"procman restart {name}, which kills tasks that still run at the stop timeout"
    return f"{lasts}, or cannot write its run directory", hint
