"""PM111 and PM112: report a main process or a pool process that was killed or ended by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from procman.model import Level, Result
from procman.monitoring.checks.inputs import EndReport, ProgramSnapshot, ProjectSnapshot

if TYPE_CHECKING:
    from procman.agent.task_record import RunningTask

MOST_SHOWN = 3

GRACEFUL = "exit status 0"


def check_main_process(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether the main process of each program ended within the last hour, although no order ended it (PM111)."""
    for snapshot in running.programs:
        yield of_main_process(snapshot)


def of_main_process(snapshot: ProgramSnapshot) -> Result:
    """Return PM111 for a program."""
    name, report = snapshot.program.name, snapshot.ended
    if report is None or not snapshot.state.desired:
        return Result("PM111", name, Level.OK, "")
    # A graceful stop by a signal or a remote shutdown, which the process manager took for no order.
    is_graceful = report.end.how == GRACEFUL and not report.total
    return _report("PM111", name, "its main process", report, Level.OK if is_graceful else Level.WARNING)


def check_pool_processes(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether a pool process ended within the last hour, although Celery did not end it (PM112)."""
    for snapshot in running.up:
        if "pool_ends" in snapshot.says:
            yield of_pool_process(snapshot)


def of_pool_process(snapshot: ProgramSnapshot) -> Result:
    """Return PM112 for a program."""
    name, report = snapshot.program.name, snapshot.pool_ended
    if report is None:
        return Result("PM112", name, Level.OK, "")
    return _report("PM112", name, f"its pool process {report.end.pid}", report, Level.WARNING)


def _report(code: str, name: str, which: str, report: EndReport, level: Level) -> Result:
    at = time.strftime("%H:%M:%S", time.localtime(report.end.at))
    detail = f"{which} ended at {at}: {report.reason}{running_tasks(report.tasks, report.total)}"
    account = f"procman lost {name}; " if report.total else ""
    return Result(code, name, level, detail, f"{account}procman events {name}; procman logs {name}" if level else "")


def running_tasks(tasks: Sequence[RunningTask], total: int) -> str:
    """Return which tasks were running, with their ids; empty if none is known."""
    if not total:
        return ""
    shown = [f"{task.name} [{task.id}]" for task in tasks[:MOST_SHOWN]]
    more = total - len(shown)
    if not shown:
        return f"; {more} task{'' if more == 1 else 's'} running"
    return f"; running: {', '.join(shown)}" + (f" and {more} more" if more else "")
