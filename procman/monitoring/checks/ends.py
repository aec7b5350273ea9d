"""PM111: report a main process that was killed or ended by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from procman.model import Level, Result
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

if TYPE_CHECKING:
    from procman.agent.task_record import RunningTask

MOST_SHOWN = 3


def check_main_process(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether the main process of each program ended within the last hour, although no order ended it (PM111)."""
    for snapshot in running.programs:
        yield of_main_process(snapshot)


def of_main_process(snapshot: ProgramSnapshot) -> Result:
    """Return PM111 for a program."""
    name, report = snapshot.program.name, snapshot.ended
    if report is None or not snapshot.state.desired:
        return Result("PM111", name, Level.OK, "")
    at = time.strftime("%H:%M:%S", time.localtime(report.end.at))
    detail = f"its main process ended at {at}: {report.reason}{running_tasks(report.tasks, report.total)}"
    return Result("PM111", name, Level.WARNING, detail, f"procman events {name}; procman logs {name}")


def running_tasks(tasks: Sequence[RunningTask], total: int) -> str:
    """Return which tasks were running, with their ids; empty if none is known."""
    if not total:
        return ""
    shown = [f"{task.name} [{task.id}]" for task in tasks[:MOST_SHOWN]]
    more = total - len(shown)
    if not shown:
        return f"; {more} task{'' if more == 1 else 's'} running"
    return f"; running: {', '.join(shown)}" + (f" and {more} more" if more else "")
