"""The signals that a keeper receives, and the one that ends it."""

import os
import signal
from time import sleep
from typing import Iterable, List

PASSED_ON = ("TERM", "INT", "QUIT", "USR1", "USR2", "TTIN", "TTOU", "WINCH")
OF_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""Signals that a terminal sends to every process of the group, and so to the worker too."""


class Signals:
    """The signals that this process has received, in their order."""

    def __init__(self, more: Iterable[int]) -> None:
        self._read_end, write_end = os.pipe()
        for end in (self._read_end, write_end):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(write_end)
        names = [getattr(signal, "SIG" + name) for name in PASSED_ON]
        for number in (*names, *more):
            signal.signal(number, lambda *_: None)

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._read_end

    def received(self) -> List[int]:
        """Return those that have arrived since the last call."""
        try:
            return list(os.read(self._read_end, 4096))
        except BlockingIOError:
            return []


def is_from_terminal(number: int) -> bool:
    """Return whether the worker has got this signal too, because a terminal sent it to the whole group."""
    try:
        return number in OF_TERMINAL and os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def end_alike(status: int) -> int:
    """End as the last worker did: by the same signal, or return its exit status."""
    if not os.WIFSIGNALED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    try:
        import resource  # only now: the core is the worker's

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except ImportError:
        pass  # the Python that started the keeper has been removed since
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    sleep(1)
    return 128 + number
