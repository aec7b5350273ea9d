"""What a user asks of the logs of programs, and a line of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class LogRequest(NamedTuple):
    """Which lines of logs to show."""

    lines: int | None
    """At most the last so many of all programs together; None: no limit."""
    since: float | None = None
    """Only those from this moment on, in seconds since the epoch."""
    follow: bool = False
    """Also those that are written from now on, without end."""
    is_choice: bool = True
    """Whether the user named the programs, and is interested in those without a log."""
    notice: Callable[[str], object] = lambda _: None
    """Receives a message about lines that cannot be shown."""


class LogLine(NamedTuple):
    """A line of the log of a program, without its end, and safe to print."""

    program: str
    text: str
