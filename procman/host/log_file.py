"""Reads the log file of a program, follows it through rotations, and makes it safe to show."""

from __future__ import annotations

import codecs
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from procman.errors import ProcmanError

BLOCK = 64 * 1024
"""Bytes read at once; however long the log and its lines are, not more is held in memory."""

POLL_SECONDS = 0.25

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def read_log(path: Path, lines: int, *, follow: bool) -> Iterator[str]:
    """Yield pieces of the last LINES lines of PATH, ready to be written out, and then what is added to it if asked to.

    Following never ends by itself. A log that is rotated, removed or emptied meanwhile is followed into the new one.
    """
    file = _open(path, wait=follow)
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    file.seek(_start_of(file, lines))
    try:
        while True:
            yield from _rest(file, decoder)
            if not follow:
                return
            successor = _successor(file, path)
            if successor is None:
                time.sleep(POLL_SECONDS)
            else:
                # What was written between the last read and the rotation.
                yield from _rest(file, decoder)
                file.close()
                file = successor
    finally:
        file.close()


def _rest(file: BinaryIO, decoder: codecs.IncrementalDecoder) -> Iterator[str]:
    while block := file.read(BLOCK):
        yield shown(decoder.decode(block))


def shown(text: str) -> str:
    """Return TEXT with every control character but line ends and tabs spelled out: it must not drive a terminal."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _open(path: Path, *, wait: bool) -> BinaryIO:
    while True:
        try:
            return path.open("rb")
        except FileNotFoundError:
            if not wait:
                raise ProcmanError(
                    f"{path}: there is no log yet", hint="The program was never started: see `procman status`."
                ) from None
            time.sleep(POLL_SECONDS)
        except OSError as error:
            raise ProcmanError(
                f"{path}: cannot be read: {error.strerror}", hint="Run the same command with sudo."
            ) from None


def _start_of(file: BinaryIO, lines: int) -> int:
    """Where the last LINES lines of FILE begin."""
    position = file.seek(0, 2)
    # The line end at the very end does not begin another line.
    left = lines + 1 if lines else 0
    first = True
    while position > 0 and left:
        size = min(BLOCK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        if first and not block.endswith(b"\n"):
            left -= 1
        first = False
        found = block.count(b"\n")
        if found < left:
            left -= found
            continue
        at = len(block)
        for _ in range(left):
            at = block.rindex(b"\n", 0, at)
        return position + at + 1
    return position


def _successor(file: BinaryIO, path: Path) -> BinaryIO | None:
    """The new file in the place of FILE, also where FILE was emptied; None if it is the one to go on with."""
    try:
        there, here = path.stat(), os.fstat(file.fileno())
        if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) and here.st_size >= file.tell():
            return None
        return path.open("rb")
    except OSError:
        return None
