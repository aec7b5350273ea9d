"""Handle standard streams that cannot be written: a full disk, a closed pipe, a closed terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

import click

from procman.errors import ProcmanError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as in a shell (U2)."""


class Stream:
    """A stream that passes its first error to `lost`, which may raise, and writes nothing after that."""

    def __init__(self, stream: TextIO, lost: Callable[[OSError], None]) -> None:
        self._stream = stream
        self.lost = lost
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        """Write `text`."""
        self._raise_again()
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Write the buffered text."""
        self._raise_again()
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _raise_again(self) -> None:
        # Click writes an empty text to find out whether a stream is binary, and ignores every exception of that. With
        # PYTHONUNBUFFERED this is a write(2), and the first to fail.
        if self._error:
            self.lost(self._error)

    def _give_up(self, error: OSError) -> None:
        # At exit, Python would write the rest of the buffer, and print an error.
        with suppress(OSError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._stream.fileno())
            os.close(nothing)
        self._error = error
        self.lost(error)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Replace standard output and error by streams whose errors cause no traceback.

    An error of standard output ends the command with a ProcmanError, or quietly after a closed pipe, until
    `ignore_lost_output` is called. An error of standard error is ignored.
    """
    before = sys.stdout, sys.stderr
    sys.stderr = cast(TextIO, Stream(sys.stderr, lambda _: None))
    sys.stdout = cast(TextIO, Stream(sys.stdout, _end))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def ignore_lost_output() -> None:
    """Complete the command even if its output cannot be written; report that once, on stderr."""
    if isinstance(sys.stdout, Stream):
        sys.stdout.lost = _warn_once


def echo_lines(lines: Iterable[object], *, err: bool = False) -> None:
    """Print each of `lines` as soon as it is available."""
    for line in lines:
        click.echo(line, err=err)


def follow_lines(lines: Iterable[object]) -> int:
    """Print `lines`, each at once, until Ctrl-C, which needs no message: it is how to end this; return the status."""
    try:
        for line in lines:
            click.echo(line)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _end(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise error
    raise ProcmanError(f"cannot write output: {error.strerror or error}") from None


def _warn_once(error: OSError) -> None:
    assert isinstance(sys.stdout, Stream)
    sys.stdout.lost = lambda _: None
    why = error.strerror or error
    click.echo(f"procman: cannot write output ({why}); continuing", err=True)
