"""PM113: check that the process manager, which starts and restarts the programs, is running itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from procman.model import Level, ProgramState, Result
from procman.monitoring.checks.inputs import ProjectSnapshot

CODE = "PM113"


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield one result for the project, unless no program is being checked."""
    if running.programs:
        problems = problems_of_manager(each.state for each in running.programs)
        yield from problems or [Result(CODE, None, Level.OK, "")]


def problems_of_manager(states: Iterable[ProgramState]) -> list[Result]:
    """Return PM113 once if the process manager of programs that should run is not running."""
    found = [(each.manager_problem, each.manager_remedy) for each in states if each.manager_problem and each.desired]
    return [Result(CODE, None, Level.CRITICAL, *texts) for texts in found[:1]]
