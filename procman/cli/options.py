"""Options that several commands have, and the telling that goes with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from procman.cli.safe_streams import carry_on_unheard
from procman.deploy.rollout import Failure, How
from procman.model import InstalledProgram
from procman.output.install import failure_lines
from procman.output.terminal import Progress, printable

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


@contextmanager
def telling(
    *, wait_seconds: float | None = None, at_once: int = 1, lock_seconds: float, completed_by: str = ""
) -> Iterator[How]:
    """Yield how to go about an order, with what is done on stdout and what it is about to do on stderr.

    None of it needs to be heard, nor what the command says afterwards: the order is carried out to its end. One that is
    interrupted says what it is COMPLETED_BY.
    """
    carry_on_unheard()
    progress = Progress()

    def told(program: InstalledProgram, what: str) -> None:
        progress.clear()
        click.echo(f"{program.name}: {what}")
        # A warm stop may take an hour; who reads from a pipe wants to know of the others meanwhile.
        sys.stdout.flush()

    def say(text: str) -> None:
        progress.clear()
        click.echo(printable(text), err=True)

    def failed(failure: Failure) -> None:
        progress.clear()
        for line in failure_lines(failure):
            click.echo(line, err=True)

    try:
        yield How(progress, told, say, failed, wait_seconds, at_once, lock_seconds)
    except KeyboardInterrupt:
        left = f"{completed_by} completes it; `procman status` shows what is left to do."
        raise KeyboardInterrupt(*([left] if completed_by else [])) from None
    finally:
        progress.clear()
