"""Format the tasks that a stop did not let finish."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from procman.deploy.unfinished import UnfinishedTask
from procman.output.lost import text_of
from procman.output.terminal import width_of, wrapped

MOST = 20
"""How many tasks of a program are shown."""


def unfinished_lines(tasks: Sequence[UnfinishedTask], stream: TextIO | None = None) -> Iterator[str]:
    """Yield a line for each of the first `tasks`, those of one program, with what becomes of it."""
    width = width_of(stream or sys.stdout)
    for task in tasks[:MOST]:
        yield from wrapped(f"{task.program}: did not finish: {task.name} [{task.id}], {text_of(task.fate)}", width)
    if len(tasks) > MOST:
        program = tasks[0].program
        yield from wrapped(f"{program}: and {len(tasks) - MOST} more: procman events {program}", width)
