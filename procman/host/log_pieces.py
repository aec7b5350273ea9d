"""Find the parts of a log that a request needs: in the file itself, and in the rotated ones before it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from procman.backends.logs import LogRequest
from procman.host.log_file import BLOCK, open_log, start_of
from procman.host.log_times import SLACK_SECONDS, Clock, clock_of, moment_of

MOST_ROTATED = 100


@dataclass
class Piece:
    """A file of the log of `program`, and the positions between which it is read."""

    program: str
    file: BinaryIO
    start: int
    end: int
    changed: float
    """When the file was changed, in seconds since the epoch."""
    clock: Clock

    def moment_of(self, line: str) -> float | None:
        """Return the time at the beginning of `line`; None if it has none, or one after the file was changed."""
        found = moment_of(line, self.clock, self.program)
        return None if found is None or found > self.changed + SLACK_SECONDS else found

    def keep_last(self, lines: int) -> None:
        """Begin at the last `lines` lines, at the earliest where it begins now."""
        self.start = max(self.start, start_of(self.file, lines))

    def first_moment(self, start: int) -> float | None:
        """Return the first time after `start`; None if none is near."""
        return next((found for found in map(self.moment_of, _lines_after(self.file, start)) if found), None)

    def has_times(self) -> bool:
        """Return whether the last lines have times."""
        return any(self.moment_of(line) for line in _lines_after(self.file, max(0, self.end - BLOCK)))


def pieces_of(program: str, path: Path, request: LogRequest, files: ExitStack) -> list[Piece]:
    """Open the log at `path` and as many rotated files before it as `request` needs; return them oldest first.

    Raises FileNotFoundError if there is no log, and ProcmanError if it cannot be read.
    """
    found: list[Piece] = []
    lacking = request.lines or 0
    for file in _newest_first(path, files):
        status = os.fstat(file.fileno())
        if request.since is not None:
            if found and status.st_mtime < request.since:
                break
            start = 0
        else:
            start = start_of(file, lacking)
            lacking -= _count_lines(file) if start == 0 else lacking
        clock = clock_of(_last_line(file, status.st_size), status.st_mtime, program)
        found.append(Piece(program, file, start, status.st_size, status.st_mtime, clock))
        if request.since is None and lacking <= 0:
            break
    return found[::-1]


def seek(piece: Piece, since: float) -> None:
    """Move the start of `piece` near its first line of `since`, which may be many MiB behind its beginning."""
    low, high = piece.start, piece.end
    while high - low > BLOCK:
        middle = (low + high) // 2
        moment = piece.first_moment(middle)
        if moment is not None and moment < since:
            low = middle
        else:
            high = middle
    if low > piece.start:
        piece.file.seek(low)
        piece.start = low + len(piece.file.readline(BLOCK))


def _newest_first(path: Path, files: ExitStack) -> Iterator[BinaryIO]:
    # A rotation in between makes the file that is open already the first rotated one.
    known: set[int] = set()
    for number in range(MOST_ROTATED):
        try:
            file = files.enter_context(open_log(path.with_name(f"{path.name}.{number}") if number else path))
        except FileNotFoundError:
            if number:
                return
            raise
        inode = os.fstat(file.fileno()).st_ino
        if inode not in known:
            known.add(inode)
            yield file


def _count_lines(file: BinaryIO) -> int:
    file.seek(0)
    return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK), b""))


def _lines_after(file: BinaryIO, start: int) -> list[str]:
    """Return the lines in the block at `start`, without one that began before it."""
    file.seek(max(0, start - 1))
    lines = file.read(BLOCK + 1).decode("utf-8", "replace").split("\n")
    return lines[1:] if start else lines


def _last_line(file: BinaryIO, end: int) -> str:
    lines = [line for line in _lines_after(file, max(0, end - BLOCK)) if line]
    return lines[-1] if lines else ""
