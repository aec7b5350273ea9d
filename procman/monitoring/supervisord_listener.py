"""Implement supervisord's protocol for event listeners (supervisor 4.3, "Events"): acknowledge every event at once.

The checks run by the listener's own clock. An event that arrives during a check is answered after it; supervisord
queues further events until then. When standard input ends, supervisord has ended.
"""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Callable

READY = b"READY\n"
RESULT = b"RESULT 2\nOK"
HEADER = re.compile(rb"[^\n]{0,1000}\blen:([0-9]{1,9})[^\n]{0,1000}\n")


class NoSupervisord(Exception):
    """The input is not an event of supervisord."""


def listen(look: Callable[[], float], reading: int = 0, writing: int = 1) -> None:
    """Call `look`, which returns the seconds until its next call, again and again; return when supervisord ends.

    `reading` and `writing` are the descriptors of the pipes from and to supervisord.
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
    """Answer every complete event in `received`, and return the rest of it."""
    while found := HEADER.match(received):
        end = found.end() + int(found[1])
        if len(received) < end:
            break
        received = received[end:]
        os.write(writing, RESULT + READY)
    if b"\n" in received and not found:
        raise NoSupervisord(f"this is not an event of supervisord: {received[:80]!r}")
    return received
