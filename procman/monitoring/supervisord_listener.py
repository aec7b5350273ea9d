"""supervisord's protocol for event listeners (supervisor 4.3, "Events"): every event is acknowledged at once.

What the listener is for goes by its own clock. supervisord is never kept waiting: an event that comes during a look is
answered after it, and supervisord keeps others until then. The end of its standard input is the end of supervisord.
"""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Callable

READY = b"READY\n"
RESULT = b"RESULT 2\nOK"
HEADER = re.compile(rb"[^\n]*\blen:([0-9]{1,9})[^\n]*\n")


class NoSupervisord(Exception):
    """What came is not what a supervisord would say."""


def listen(look: Callable[[], float], reading: int = 0, writing: int = 1) -> None:
    """Call LOOK, which returns after how many seconds it wants to be called again; return when supervisord is gone.

    READING and WRITING are the descriptors that supervisord holds the other ends of.
    """
    due, received = time.monotonic(), b""
    try:
        os.write(writing, READY)
        while True:
            readable, _, _ = select.select([reading], [], [], max(0.0, due - time.monotonic()))
            if readable:
                more = os.read(reading, 65536)
                if not more:
                    return
                received = _acknowledge(received + more, writing)
            elif time.monotonic() >= due:
                due = time.monotonic() + look()
    except BrokenPipeError:
        return


def _acknowledge(received: bytes, writing: int) -> bytes:
    """Answer every whole event in what was RECEIVED, and return what is left of it."""
    while found := HEADER.match(received):
        end = found.end() + int(found[1])
        if len(received) < end:
            break
        received = received[end:]
        os.write(writing, RESULT + READY)
    if b"\n" in received and not found:
        raise NoSupervisord(f"this is no event of supervisord's: {received[:80]!r}")
    return received
