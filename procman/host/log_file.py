"""Read the end of the log file of a program, and escape control characters."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from procman.errors import ProcmanError
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted

BLOCK = 64 * 1024
"""The number of bytes read at once."""

POLL_SECONDS = 0.25

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class NoLog(ProcmanError):
    """The log of a program does not exist."""

    def __init__(self, path: Path) -> None:
        hint = "The program has never been started: see `procman status`."
        super().__init__(f"{path}: the log does not exist yet", hint=hint)


def read_log(path: Path, lines: int) -> Iterator[str]:
    """Yield the last `lines` lines of `path` in pieces that are safe to print, and may end in the middle of a line."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    try:
        file = open_log(path)
    except FileNotFoundError:
        raise NoLog(path) from None
    with file:
        file.seek(start_of(file, lines))
        while block := file.read(BLOCK):
            yield shown(decoder.decode(block))


def log_end(path: Path) -> str:
    """Return the last whole lines of `path`, in at most `BLOCK` bytes; empty if it cannot be read."""
    try:
        content = read_untrusted(path, None, BLOCK) or b""
    except UntrustedFile:
        return ""
    begin = content.find(b"\n") + 1 if len(content) == BLOCK else 0
    return content[begin:].decode("utf-8", "backslashreplace")


def shown(text: str) -> str:
    """Return `text` with control characters escaped, except line ends and tabs, so that it cannot drive a terminal."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def open_log(path: Path) -> BinaryIO:
    """Open the log at `path`. Raises FileNotFoundError, and ProcmanError for any other reason."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ProcmanError(
            f"{path}: cannot be read: {error.strerror}", hint="Run the same command with sudo."
        ) from None


def start_of(file: BinaryIO, lines: int) -> int:
    """Return the position at which the last `lines` lines of `file` begin."""
    position = file.seek(0, 2)
    # The line end at the end of the file does not begin another line.
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


def successor(file: BinaryIO, path: Path) -> BinaryIO | None:
    """Return the file that has replaced `file`, even if it is the same one truncated; None if nothing changed."""
    try:
        there, here = path.stat(), os.fstat(file.fileno())
        if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) and here.st_size >= file.tell():
            return None
        return path.open("rb")
    except OSError:
        return None
