"""Seconds on the command line: a number that every clock and every wait can take."""

from __future__ import annotations

from typing import Any

import click

MOST = 7 * 86_400
"""A week, longer than any wait; poll(2) takes milliseconds in 31 bits, which is less than 25 days."""


class Seconds(click.FloatRange):
    """Seconds up to `MOST`, at least LEAST, or with MIN_OPEN more than that."""

    def __init__(self, least: float = 0, *, min_open: bool = False) -> None:
        super().__init__(least, MOST, min_open=min_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return VALUE as a number; what is none (`nan` is neither small nor large) is wrong usage."""
        seconds = float(super().convert(value, param, ctx))
        if seconds != seconds:
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds
