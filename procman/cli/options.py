"""Define the options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

MOST_SECONDS = 7 * 86_400
"""A week, longer than any wait; poll(2) takes milliseconds in 31 bits, less than 25 days."""


class Seconds(click.FloatRange):
    """A number of seconds, from `least` (excluded with `min_open`) to `MOST_SECONDS`."""

    def __init__(self, least: float = 0, *, min_open: bool = False) -> None:
        super().__init__(least, MOST_SECONDS, min_open=min_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return `value` as a number; `nan`, which no range excludes, is wrong usage."""
        seconds = float(super().convert(value, param, ctx))
        if seconds != seconds:
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


def seconds(*names: str, kind: Seconds, explanation: str, default: float | None = None) -> Callable[[F], F]:
    """Return an option with a number of seconds for its value."""
    return click.option(*names, type=kind, metavar="SECONDS", default=default, show_default=True, help=explanation)


wait = seconds(
    "--wait",
    "wait_seconds",
    kind=Seconds(min_open=True),
    explanation="Wait for each program to become healthy, up to SECONDS after it starts.",
)

at_once = click.option(
    "--at-once",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Restart up to N programs of a kind, such as the instances of a worker, at the same time.",
)

lock_wait = seconds(
    "--lock-wait",
    "lock_seconds",
    kind=Seconds(),
    default=60,
    explanation="Time to wait while another procman command is running; 0 fails at once.",
)
