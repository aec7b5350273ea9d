"""Standard output and error that may be lost: a full disk, a reader that has gone, a terminal that was closed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

import click

from procman.errors import ProcmanError


class Stream:
    """A stream whose first error is told to LOST, which may raise; nothing that comes later is written."""

    def __init__(self, stream: TextIO, lost: Callable[[OSError], None]) -> None:
        self._stream = stream
        self.lost = lost

    def write(self, text: str) -> int:
        """Write TEXT."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Write what is left."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        # Python would try to write what is in the buffer once more at exit, and complain.
        with suppress(OSError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._stream.fileno())
            os.close(nothing)
        self.lost(error)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Have errors of standard output and error told, and not with a traceback.

    Standard output is what a command is for, so that it ends with a ProcmanError, or quietly where a reader has seen
    enough, until `ignore_lost_output`. Messages that nobody can read change nothing.
    """
    before = sys.stdout, sys.stderr
    sys.stderr = cast(TextIO, Stream(sys.stderr, lambda _: None))
    sys.stdout = cast(TextIO, Stream(sys.stdout, _end))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def ignore_lost_output() -> None:
    """From now on output that cannot be written is told once, on stderr: what was ordered is carried out to the end."""
    if isinstance(sys.stdout, Stream):
        sys.stdout.lost = _tell_once


def echo_lines(lines: Iterable[object], *, err: bool = False) -> None:
    """Print `lines` one after the other, each as soon as it is there."""
    for line in lines:
        click.echo(line, err=err)


def _end(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise error
    raise ProcmanError(f"the output cannot be written: {error.strerror or error}") from None


def _tell_once(error: OSError) -> None:
    assert isinstance(sys.stdout, Stream)
    sys.stdout.lost = lambda _: None
    why = error.strerror or error
    click.echo(f"procman: what is done can no longer be shown ({why}); it is done all the same", err=True)
