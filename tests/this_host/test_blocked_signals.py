"""A signal that a process blocks for a moment is told from one that it blocks for good."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from procman.host.process import keeps_blocked

ALWAYS = "pass"
NOW_AND_THEN = "time.sleep(0.03); signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])"


@contextmanager
def blocking(then: str) -> Iterator[int]:
    """Run a process that blocks SIGUSR1 and then does something, again and again."""
    code = f"""
import signal, time
first = True
while True:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    if first: print(flush=True)
    first = False
    {then}
    time.sleep(0.03)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize(("then", "expected"), [(ALWAYS, True), (NOW_AND_THEN, False)])
def test_signal_is_kept_blocked_only_if_it_is_never_unblocked(then: str, expected: bool) -> None:
    with blocking(then) as pid:
        assert [keeps_blocked(pid, signal.SIGUSR1) for _ in range(3)] == [expected] * 3
        assert not keeps_blocked(pid, signal.SIGUSR2)
