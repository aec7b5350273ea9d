"""Compare the CPU time for a text with that for a longer one, so that no machine is too slow for the test."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMES_LONGER = 8
MOST_TIMES_SLOWER = 3 * TIMES_LONGER
"""Quadratic growth would be `TIMES_LONGER` squared."""

TOO_SHORT_TO_COMPARE = 0.05
"""Seconds."""


def grows_linearly(call: Callable[[str], object], unit: str, length: int) -> bool:
    """Return whether `call` needs about `TIMES_LONGER` times as long for that many more repetitions of `unit`."""
    short, long = ((unit * (size // len(unit) + 1))[:size] for size in (length, length * TIMES_LONGER))
    least = min(_seconds(call, short) for _ in range(3))
    most = TOO_SHORT_TO_COMPARE + MOST_TIMES_SLOWER * least
    # The garbage collector may run in any of them.
    return any(_seconds(call, long) < most for _ in range(3))


def _seconds(call: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    call(text)
    return time.process_time() - start
