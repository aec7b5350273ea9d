"""Format interrupted tasks as a table and JSON; docs/lost.md describes the fields."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import TextIO

from procman.monitoring.lost_task import LostTask
from procman.monitoring.lost_tasks import LostTasks
from procman.monitoring.task_outcome import Fate, Outcome
from procman.output.terminal import coloured, local_time, printable, table, width_of, wrapped

FORMAT = 1
"""Increased when a field changes its meaning or is removed; new fields may be added at any time."""

HEADER = ("STARTED", "PROGRAM", "TASK", "ID", "ACK", "ENDED BY", "OUTCOME")
SHORTEST = 12
WIDEST = 150
"""A narrower terminal gets two lines for each task."""


def as_text(found: LostTasks, stream: TextIO | None = None) -> Iterator[str]:
    """Yield the table, and below it what is known only as a number."""
    stream = stream or sys.stdout
    width, tasks = width_of(stream), found.tasks
    _, zone = local_time(time.time())
    if tasks and width is not None and width < WIDEST:
        for task in tasks:
            yield from _lines(task, width)
    elif tasks:
        header = (f"STARTED ({zone})", *HEADER[1:])
        cut = {"TASK": SHORTEST, "ENDED BY": SHORTEST, "PROGRAM": SHORTEST}
        lines = table(header, list(map(_row, tasks)), width=width, cut=cut, drop=("PROGRAM",))
        yield coloured(lines[0], "bold", stream)
        yield from lines[1:]
    yield _total(found)
    for loss in found.losses:
        if loss.unrecorded:
            yield from wrapped(f"{loss.program}: and {loss.unrecorded} more of process {loss.record.pid}", width)


def _row(task: LostTask) -> list[str]:
    time, _ = local_time(task.started)
    return [time, task.program, task.name, task.id, _mode(task), task.ended, text_of(task.fate)]


def _lines(task: LostTask, width: int) -> Iterator[str]:
    began, zone = local_time(task.started)
    yield printable(f"{task.name} [{task.id}]")
    text = f"{task.program}, started {began} {zone}, acknowledged {_mode(task)}, ended by: {task.ended}"
    yield from wrapped(text, width, indent="  ")
    yield from wrapped(f"-> {text_of(task.fate)}", width, indent="  ")


def _mode(task: LostTask) -> str:
    return "late" if task.acks_late else "early"


def text_of(fate: Fate) -> str:
    """Return what becomes of a task, in words."""
    if fate.outcome is not Outcome.REDELIVERED:
        return str(fate.outcome.value)
    by = f" by {fate.by}" if fate.by else ""
    if fate.at is None:
        return f"{fate.outcome.value}{by}"
    day = "%H:%M" if abs(fate.at - time.time()) < 43200 else "%Y-%m-%d %H:%M"
    return f"{fate.outcome.value}{by} at {time.strftime(day, time.localtime(fate.at))}"


def _total(found: LostTasks) -> str:
    number = len(found.tasks)
    return "no task was interrupted" if not number else f"{number} task{'' if number == 1 else 's'} interrupted"


def as_json(found: LostTasks) -> str:
    """Return the tasks as one JSON document."""
    document = {
        "format": FORMAT,
        "project": found.project,
        "tasks": [_task(task) for task in found.tasks],
        "unrecorded": [
            {"program": loss.program, "pid": loss.record.pid, "number": loss.unrecorded, "at": loss.at}
            for loss in found.losses
            if loss.unrecorded
        ],
        "problems": list(found.problems),
    }
    return json.dumps(document, indent=2)


def _task(task: LostTask) -> dict[str, object]:
    return {
        "program": task.program,
        "id": task.id,
        "id_is_exact": not task.is_cut,
        "name": task.name,
        "started": task.started,
        "acknowledged": _mode(task),
        "ended": task.ended,
        "at": task.at,
        "outcome": task.fate.outcome.value,
        "by": task.fate.by or None,
        "redelivered_at": task.fate.at,
    }
