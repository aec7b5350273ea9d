"""Leave out the problems of a program that another of its problems explains: only the cause helps an administrator."""

from __future__ import annotations

from collections.abc import Iterable

from procman.model import Level, Result
from procman.monitoring.checks.inputs import ProgramSnapshot

CAUSE_OF = {"PM104": "PM109"}
"""A program without a heartbeat of its own has no pool while it waits for a process of an earlier run."""


def without_effects(snapshot: ProgramSnapshot, results: Iterable[Result]) -> tuple[Result, ...]:
    """Return the `results` of a program without the problems that another one of them explains."""
    every = tuple(results)
    if snapshot.says:
        return every
    problems = {result.code for result in every if result.level is not Level.OK}
    return tuple(each for each in every if each.level is Level.OK or CAUSE_OF.get(each.code) not in problems)
