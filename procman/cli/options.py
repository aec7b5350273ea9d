"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

MOST_SECONDS = 7 * 86_400
"""A week, longer than any wait; poll(2) takes milliseconds in 31 bits, which is less than 25 days."""


class Seconds(click.FloatRange):
    """Seconds up to `MOST_SECONDS`, at least LEAST, or with MIN_OPEN more than that."""

    def __init__(self, least: float = 0, *, min_open: bool = False) -> None:
        super().__init__(least, MOST_SECONDS, min_open=min_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return VALUE as a number; what is none (`nan` is neither small nor large) is wrong usage."""
        seconds = float(super().convert(value, param, ctx))
        if seconds != seconds:
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


def seconds(*names: str, kind: Seconds, explanation: str, default: float | None = None) -> Callable[[F], F]:
    """Return an option that takes SECONDS."""
    return click.option(*names, type=kind, metavar="SECONDS", default=default, show_default=True, help=explanation)


wait = seconds(
    "--wait",
    "wait_seconds",
    kind=Seconds(min_open=True),
    explanation="Until all are healthy, each at most SECONDS from its start.",
)

at_once = click.option(
    "--at-once",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many programs, such as the instances of a worker, may be restarted at the same time.",
)

lock_wait = seconds(
    "--lock-wait",
    "lock_seconds",
    kind=Seconds(),
    default=60,
    explanation="How long to wait for another procman that is at work; 0 gives up at once.",
)
