"""Leave out the problems of a program that another of its problems explains: only the cause helps an administrator."""

from __future__ import annotations

from collections.abc import Iterable

from procman.model import Level, Result
from procman.monitoring.checks.crash_loop import is_in_crash_loop
from procman.monitoring.checks.inputs import ProgramSnapshot

CAUSE_OF = {"PM104": "PM109"}
"""A program without a heartbeat of its own has no pool while it waits for a process of an earlier run."""

REPEAT_CRASH_LOOP = ("PM103", "PM104", "PM111")
"""PM101 of a crash loop has the number of its ends and how the last was."""


def without_effects(snapshot: ProgramSnapshot, results: Iterable[Result]) -> tuple[Result, ...]:
    """Return the `results` of a program without the problems that another one of them explains."""
    every = tuple(results)
    if is_in_crash_loop(snapshot):
        return tuple(_as_ok(each) if _repeats_crash_loop(snapshot, each) else each for each in every)
    if snapshot.says:
        return every
    problems = {result.code for result in every if result.level is not Level.OK}
    return tuple(each for each in every if each.level is Level.OK or CAUSE_OF.get(each.code) not in problems)


def _repeats_crash_loop(snapshot: ProgramSnapshot, result: Result) -> bool:
    # Only PM111 has the tasks that the last run was working on.
    has_lost_tasks = result.code == "PM111" and snapshot.ended is not None and snapshot.ended.total > 0
    return result.code in REPEAT_CRASH_LOOP and not has_lost_tasks


def _as_ok(result: Result) -> Result:
    # Monitoring counts on its numbers.
    return result._replace(level=Level.OK, detail="", hint="")
