"""A worker gets each signal meant for it as soon as it is forked, and its keeper none of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import procman
from procman.agent import keeper_worker, slots

SIGNALLED_AT_ONCE = """
import os, signal, sys

sys.path.insert(0, sys.argv[1])
from procman.agent import keeper_worker
from procman.agent.keeper_signals import Signals

fork = os.fork

def fork_and_signal():
    pid = fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGTERM)
    return pid

os.fork = fork_and_signal
received = Signals(())
pid = keeper_worker._start(["/bin/sleep", "5"], {})
_, status = os.waitpid(pid, 0)
print(os.WIFSIGNALED(status) and os.WTERMSIG(status), received.received(), signal.pthread_sigmask(0, ()))
"""


def test_signal_to_a_worker_that_does_not_run_yet_ends_it_and_does_not_reach_the_keeper(tmp_path: Path) -> None:
    words = [sys.executable, "-I", "-S", "-c", SIGNALLED_AT_ONCE, str(Path(procman.__file__).parents[1])]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=60, cwd=tmp_path)
    assert done.stdout == "15 [] set()\n"


def test_worker_gets_its_signal_if_its_mark_cannot_be_removed(tmp_path: Path) -> None:
    # As root, only this stands for a file system that has become read-only.
    (tmp_path / slots.DRAINING).mkdir()
    worker = keeper_worker.Worker("b", str(tmp_path), ["/bin/sleep", "600"], {})
    worker.stop()
    assert os.WTERMSIG(os.waitpid(worker.pid, 0)[1]) == signal.SIGTERM
