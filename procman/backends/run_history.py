"""Derive the history of a program's runs from what its process manager recorded about them; pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from procman.agent.process_end import EXIT_STATUS
from procman.model import End, RunHistory

EARLY_SECONDS = 60.0
"""A run that ends within this time has failed, even if the process manager had already counted it as started."""

MOST_ENDS = 20

FORCED = "killed: it did not stop within its stop timeout"
"""How the end of an ordered stop is described that the process manager had to force."""

EXITS, KILLS = 1, 3
"""How many ends in a row of runs that ended early count apart from a crash loop."""


class What(Enum):
    """What a record is about."""

    STARTED = "started"
    """By an order or, after an end, by the process manager itself."""
    UP = "up"
    """The process manager counts the start as successful."""
    ENDED = "ended"
    """Without an order."""
    FORCED = "forced"
    """Killed because an ordered stop did not end."""
    ORDERED = "ordered"
    """A start, stop or restart was ordered."""


class Record(NamedTuple):
    """One thing that happened to a program, as its process manager recorded it."""

    what: What
    at: float
    """Seconds since the epoch."""
    how: str = ""
    pid: int | None = None
    by_kernel: bool = False


class _Run(NamedTuple):
    started: float | None = None
    is_up: bool = False
    has_ended: bool = False


def history_of(records: Iterable[Record]) -> RunHistory:
    """Return the history of the program with these `records`, oldest first.

    A start counts as a restart only if the program had ended without an order.
    """
    history, run = RunHistory(), _Run()
    for record in records:
        match record.what:
            case What.ORDERED:
                history, run = RunHistory(ends=history.ends, ordered=record.at), run._replace(has_ended=False)
            case What.STARTED:
                restarts = history.restarts + run.has_ended
                history, run = history._replace(restarts=restarts), _Run(record.at)
            case What.UP:
                run = run._replace(is_up=True)
            case What.ENDED:
                failures = history.failures + 1 if _is_early(run, record.at) else 0
                history, run = history._replace(failures=failures), run._replace(has_ended=True)
                history = _with_end(history, record, run.started)
            case What.FORCED:
                history = _with_end(history, record, run.started)
    return history


def _is_early(run: _Run, at: float) -> bool:
    return run.started is not None and not (run.is_up and at - run.started >= EARLY_SECONDS)


def _with_end(history: RunHistory, record: Record, started: float | None) -> RunHistory:
    most = EXITS if record.how.startswith(EXIT_STATUS) else KILLS
    is_forced, is_repeated = record.what is What.FORCED, history.failures > most
    end = End(record.at, record.how, record.pid, started, is_forced, record.by_kernel, is_repeated)
    return history._replace(ends=(*history.ends, end)[-MOST_ENDS:])
