"""Summarise programs: how many are running, and why the others are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from procman.model import InstalledProgram, ProgramState, State

MOST_NAMED = 4
"""Programs that share a problem and are named; the others are counted."""


class Shown(Protocol):
    """What a summary needs of a program."""

    @property
    def program(self) -> InstalledProgram:
        """The program."""

    @property
    def state(self) -> ProgramState:
        """Its state."""

    @property
    def is_started(self) -> bool:
        """Whether it runs."""


def summary(programs: Iterable[Shown]) -> str:
    """Return the line `6 of 42 running, 36 not started (autostart = false)`; programs that should run come first."""
    every = list(programs)
    running = sum(each.is_started for each in every)
    others = sorted((each for each in every if not each.is_started), key=lambda each: not each.state.desired)
    counted = Counter(map(_condition, others))
    return ", ".join([f"{running} of {len(every)} running", *(f"{count} {what}" for what, count in counted.items())])


def _condition(each: Shown) -> str:
    if each.state.desired or each.state.state is not State.STOPPED:
        return each.state.state.value
    is_new = each.state.since is None and not each.program.autostart
    return "not started (autostart = false)" if is_new else "stopped"


def named(names: Sequence[str]) -> str:
    """Return `names` for the beginning of a sentence about all of them; of many, only the first."""
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: MOST_NAMED - 1])} and {len(names) - MOST_NAMED + 1} more"
