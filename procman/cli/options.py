"""Options that several commands have."""

from __future__ import annotations

from typing import Any

import click

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


wait = click.option(
    "--wait",
    "wait_seconds",
    type=Seconds(min_open=True),
    metavar="SECONDS",
    help="Until all are healthy, each at most SECONDS from its start.",
)

at_once = click.option(
    "--at-once",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many programs, such as the instances of a worker, may be restarted at the same time.",
)

lock_wait = click.option(
    "--lock-wait",
    "lock_seconds",
    type=Seconds(),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for another procman that is at work; 0 gives up at once.",
)
