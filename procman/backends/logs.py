"""What a user asks of the logs of programs, and a line of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from procman.model import InstalledProgram


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


def log_files_of(programs: Iterable[InstalledProgram]) -> dict[str, Path]:
    """Return the log files of `programs` by name; a file for standard error alone has a label of its own."""
    found: dict[str, Path] = {}
    for each in programs:
        found |= {each.name: Path(each.log_file)} if each.log_file else {}
        found |= {f"{each.name} (stderr)": Path(each.error_log)} if each.error_log else {}
    return found
