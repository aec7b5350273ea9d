"""What the kernel shows of real processes: that run, wait, are frozen, traced, or have children at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from procman.agent import process_evidence
from procman.agent.process_evidence import Sample, sample
from procman.host import process_tree
from procman.host.inactivity import descendants_of
from tests.install.people import needs_root
from tests.product import eventually

WAITING = "time.sleep(1000)"
TICKING = "while True: time.sleep(0.05)"
SPINNING = "while True: pass"

DEADLOCKED = """
import ctypes, threading
def beat():
    while True: time.sleep(0.01)
threading.Thread(target=beat, daemon=True).start()
time.sleep(0.1)
ctypes.PyDLL(None).sleep(1000)
"""
"""The main thread waits and holds Python's lock. Every other thread wakes up every 5 ms to request it."""

WITH_CHILD = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
time.sleep(1000)
"""

TRACE = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
assert libc.ptrace(16, pid, None, None) == 0, os.strerror(ctypes.get_errno())  # PTRACE_ATTACH: it stops
os.waitpid(pid, 0)
print("attached", flush=True)
time.sleep(1000)
"""

PAUSE_SECONDS = 0.3


@contextmanager
def process(code: str, *words: str) -> Iterator[int]:
    """Run Python `code` in a process and yield its pid."""
    command = [sys.executable, "-c", f"import sys, time\nprint(flush=True)\n{code}", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as running:
        assert running.stdout
        running.stdout.readline()
        try:
            yield running.pid
        finally:
            os.killpg(running.pid, signal.SIGKILL)


def seen(pid: int) -> Sample:
    found = sample(pid, descendants_of)
    assert found
    return found


def is_at_rest(pid: int) -> bool:
    before = seen(pid)
    time.sleep(PAUSE_SECONDS)
    return (seen(pid).main, seen(pid).children) == (before.main, before.children)


@pytest.mark.parametrize("code", [TICKING, SPINNING, DEADLOCKED], ids=["ticking", "spinning", "deadlocked"])
def test_process_that_runs_changes(code: str) -> None:
    with process(code) as pid:
        before = seen(pid)
        eventually(lambda: seen(pid).main != before.main, "it has changed")


def test_process_that_does_not_run_stays_the_same() -> None:
    with process(WAITING) as pid:
        eventually(lambda: is_at_rest(pid), "it does not change")
        assert not seen(pid).is_stopped
        assert (seen(pid).excuse, seen(pid).waits) == ("", "")


def test_process_stopped_by_a_signal_stays_the_same_and_shows_it() -> None:
    with process(TICKING) as pid:
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: seen(pid).is_stopped, "it is stopped")
        before = seen(pid)
        os.kill(pid, signal.SIGTERM)
        time.sleep(PAUSE_SECONDS)
        assert (seen(pid).main, seen(pid).is_stopped) == (before.main, True)


def test_process_that_waits_for_a_processor_is_no_frozen_one() -> None:
    with process(SPINNING) as pid:
        eventually(lambda: seen(pid).waits == "it waits for a processor", "it is seen to")


@pytest.mark.parametrize("has_lists", [True, False])
def test_child_at_work_changes_the_children_and_not_the_process(
    monkeypatch: pytest.MonkeyPatch, *, has_lists: bool
) -> None:
    monkeypatch.setattr(process_tree, "LISTS_CHILDREN", has_lists)
    with process(WITH_CHILD, SPINNING) as pid:
        before = seen(pid)
        eventually(lambda: seen(pid).children != before.children, "its child works")
        eventually(lambda: seen(pid).main == seen(pid).main, "it does not work itself")
    with process(WITH_CHILD, WAITING) as pid:
        eventually(lambda: is_at_rest(pid), "neither works")


def test_traced_process_has_an_excuse() -> None:
    with process(WAITING) as pid, process(TRACE.replace("print", "print()\nprint", 1), str(pid)) as tracer:
        assert tracer
        eventually(lambda: seen(pid).excuse == "a debugger is attached to it", "it is seen")
        assert not seen(pid).is_stopped


@contextmanager
def frozen_cgroup(pid: int) -> Iterator[None]:
    """Freeze process `pid` by the freezer of either version of cgroups that this host has."""
    root = Path(process_evidence.CGROUPS)
    second = next((place for place in (root, root / "unified") if (place / "cgroup.controllers").exists()), None)
    group = (second or root / "freezer") / f"procman-frozen-{pid}"
    file, frozen, thawed = ("cgroup.freeze", "1", "0") if second else ("freezer.state", "FROZEN", "THAWED")
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(pid))
        (group / file).write_text(frozen)
        yield
    finally:
        (group / file).write_text(thawed)
        (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()


@needs_root
def test_process_of_a_frozen_cgroup_has_an_excuse() -> None:
    with process(TICKING) as pid, frozen_cgroup(pid):
        eventually(lambda: seen(pid).excuse == "its cgroup is frozen", "it is seen")


def test_process_that_has_ended_gives_no_sample() -> None:
    with process(WAITING) as pid:
        pass
    assert sample(pid, descendants_of) is None


def test_suspend_of_the_host_is_seen() -> None:
    assert seen(os.getpid()).asleep == pytest.approx(
        time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic(), abs=0.5
    )
