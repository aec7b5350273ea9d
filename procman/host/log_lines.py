"""Read the log files of several programs as one stream, in the order of the times in their lines, and follow them.

One thread polls all files. Of each program, at most one line is in memory.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from procman.backends.logs import LogLine, LogRequest
from procman.errors import ProcmanError
from procman.host.log_file import POLL_SECONDS, NoLog, open_log, shown, successor
from procman.host.log_pieces import Piece, pieces_of, seek
from procman.host.log_times import GUESS, Clock, agreed, moment_of

LONGEST_LINE = 16 * 1024
"""Bytes of a line that are shown."""

CUT = f"... (cut after {LONGEST_LINE // 1024} KiB)"


class Timed(NamedTuple):
    """A line with its time, by which lines of several programs are ordered; that of the line before if it has none."""

    at: float
    line: LogLine


class LineReader:
    """Reads the lines of a file from `start` on, to `end` if there is one; continues when more has been written."""

    def __init__(self, file: BinaryIO, start: int = 0, end: int | None = None) -> None:
        self.file, self.end = file, end
        self._position = file.seek(start)
        self._partial = b""
        self._is_cut = False

    def lines(self) -> Iterator[str]:
        """Yield the lines that are complete, and the beginning of one that is too long."""
        self.file.seek(self._position)
        while piece := self.file.readline(self._room()):
            self._position += len(piece)
            is_whole = piece.endswith(b"\n")
            if not self._is_cut:
                self._partial += piece
                if is_whole:
                    yield from self.rest()
                elif len(self._partial) >= LONGEST_LINE:
                    yield from (line + CUT for line in self.rest())
                    self._is_cut = True
            elif is_whole:
                self._is_cut = False

    def rest(self) -> Iterator[str]:
        """Yield the last line, which has no end yet."""
        text, self._partial = self._partial, b""
        if text:
            yield shown(text.removesuffix(b"\n").decode("utf-8", "backslashreplace"))

    def _room(self) -> int:
        room = LONGEST_LINE - len(self._partial)
        return room if self.end is None else max(0, min(room, self.end - self._position))


@dataclass
class Log:
    """The log of one program, while it is read."""

    program: str
    path: Path
    pieces: list[Piece]
    """Its files, the oldest first; none if it does not exist yet."""
    reader: LineReader | None = None
    clock: Clock = GUESS
    at: float = -math.inf
    """The time of its last line."""


def read_logs(paths: Mapping[str, Path], request: LogRequest) -> Iterator[LogLine]:
    """Yield lines of the logs at `paths`, which are by program, in the order of their times.

    Following continues in the new file if a log is rotated, removed or truncated, and waits for one that does not exist
    yet. Raises ProcmanError if no log can be read.
    """
    with ExitStack() as files:
        logs = _opened(paths, request, files)
        _set_clocks(logs, request)
        yield from _written(logs, request)
        while request.follow:
            yield from _merged(map(_new, logs))
            time.sleep(POLL_SECONDS)


def _opened(paths: Mapping[str, Path], request: LogRequest, files: ExitStack) -> list[Log]:
    logs: list[Log] = []
    problems: list[ProcmanError] = []
    for program, path in paths.items():
        try:
            logs.append(Log(program, path, pieces_of(program, path, request, files)))
        except FileNotFoundError:
            logs.append(Log(program, path, []))
        except ProcmanError as error:
            problems.append(error)
    missing = [log for log in logs if not log.pieces]
    if problems and not logs:
        raise problems[0]
    if missing and len(missing) == len(paths) and not request.follow:
        raise NoLog(missing[0].path)
    for problem in problems:
        request.notice(f"{problem.message}. {problem.hint}")
    if missing and request.is_choice and not request.follow:
        are = "program has" if len(missing) == 1 else "programs have"
        request.notice(f"{len(missing)} of {len(paths)} {are} no log yet")
    return logs


def _set_clocks(logs: list[Log], request: LogRequest) -> None:
    """Find out the time zone of each log; one without times would fill the end of the stream, and gets its share."""
    existing = [log for log in logs if log.pieces]
    of_others = agreed([log.pieces[-1].clock for log in existing])
    for log in logs:
        log.clock = log.pieces[-1].clock if log.pieces and log.pieces[-1].clock.is_known else of_others
        for piece in log.pieces:
            piece.clock = piece.clock if piece.clock.is_known else log.clock
    if request.since is not None:
        _report_guesses([log for log in existing if log.pieces[-1].changed >= request.since], request)
    elif len(existing) > 1:
        for log in existing:
            if not log.pieces[-1].has_times():
                log.pieces = log.pieces[-1:]
                log.pieces[0].keep_last((request.lines or 0) // len(existing))


def _report_guesses(logs: list[Log], request: LogRequest) -> None:
    timeless = [log.program for log in logs if not log.pieces[-1].has_times()]
    if timeless:
        request.notice(f"{', '.join(timeless)}: the lines have no times, so --since leaves them out")
    guessed = [log.program for log in logs if not log.clock.is_known and log.program not in timeless]
    if guessed:
        names = ", ".join(guessed)
        request.notice(f"{names}: the time zone of the lines is unknown; --since takes it for the local one")


def _written(logs: list[Log], request: LogRequest) -> Iterator[LogLine]:
    """Yield the lines that are in the files already: counted first, so that only the last ones are shown."""
    if request.since is not None:
        for log in logs:
            for piece in log.pieces:
                seek(piece, request.since)

    def every() -> Iterator[LogLine]:
        return _merged(_in_files(log, request) for log in logs)

    skipped = 0 if request.lines is None else max(0, sum(1 for _ in every()) - request.lines)
    yield from islice(every(), skipped, None)


def _in_files(log: Log, request: LogRequest) -> Iterator[Timed]:
    log.at = -math.inf
    for piece in log.pieces:
        reader = log.reader = LineReader(piece.file, piece.start, piece.end)
        if log.at == -math.inf:
            # Lines before the first time are older. Without any time, all that is known is the last change.
            nothing = piece.changed if request.since is None else -math.inf
            log.at = piece.first_moment(piece.start) or nothing
        is_last = piece is log.pieces[-1]
        for text in _until_end(reader, partial=not (is_last and request.follow)):
            log.at = max(log.at, piece.moment_of(text) or log.at)
            if log.at >= (request.since or -math.inf):
                yield Timed(log.at, LogLine(log.program, text))


def _until_end(reader: LineReader, *, partial: bool) -> Iterator[str]:
    yield from reader.lines()
    if partial:
        yield from reader.rest()


def _new(log: Log) -> Iterator[Timed]:
    """Yield what was written since the last look, also to the end of a file that has been replaced."""
    if log.reader is None:
        try:
            log.reader = LineReader(open_log(log.path))
        except (FileNotFoundError, ProcmanError):
            return
    log.reader.end = None
    yield from _timed(log, log.reader.lines())
    next_file = successor(log.reader.file, log.path)
    if next_file:
        # The lines written between the last read and the rotation.
        yield from _timed(log, _until_end(log.reader, partial=True))
        log.reader.file.close()
        log.reader = LineReader(next_file)
        yield from _timed(log, log.reader.lines())


def _timed(log: Log, lines: Iterable[str]) -> Iterator[Timed]:
    for text in lines:
        at = moment_of(text, log.clock, log.program)
        if at is not None and at <= time.time() + 1:
            log.at = max(log.at, at)
        yield Timed(log.at, LogLine(log.program, text))


def _merged(logs: Iterable[Iterator[Timed]]) -> Iterator[LogLine]:
    return (each.line for each in heapq.merge(*logs, key=lambda each: each.at))
