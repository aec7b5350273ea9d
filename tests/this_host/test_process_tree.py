"""The processes below one, as the kernel lists them and by psutil where it does not; and the memory of each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from procman.host import process, process_tree
from procman.host.process import memory
from procman.host.process_tree import children_finder, tree_of
from tests.backends.supervisor.real_supervisord import as_nobody

# The second child is started by a thread, and has one of its own.
FAMILY = """
import subprocess, sys, threading
ending = [sys.executable, "-c", "import sys; sys.stdin.read()"]
parent = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); print('ready', flush=True); sys.stdin.read()"
subprocess.Popen(ending)
def start():
    child = subprocess.Popen([sys.executable, "-c", parent, *ending], stdout=subprocess.PIPE)
    child.stdout.readline()
    print("ready", flush=True)
    sys.stdin.read()
threading.Thread(target=start).start()
"""


@pytest.fixture(params=[True, False], ids=["listed by the kernel", "psutil"])
def lists_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not process_tree.LISTS_CHILDREN:
        pytest.skip("this kernel does not list children in /proc")
    monkeypatch.setattr(process_tree, "LISTS_CHILDREN", request.param)


@pytest.fixture(params=[True, False], ids=["added up by the kernel", "psutil"])
def sums_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not process.SUMS_MEMORY:
        pytest.skip("this kernel does not add up the memory of a process")
    monkeypatch.setattr(process, "SUMS_MEMORY", request.param)


@pytest.fixture
def family() -> Iterator[int]:
    """A process with a child of its main thread, one of another thread, and a grandchild; its end ends them all."""
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield process.pid


@pytest.mark.usefixtures("lists_children")
def test_children_of_every_thread_and_theirs_belong_to_the_tree(family: int) -> None:
    pids = tree_of(family, children_finder())
    assert sorted(pids) == sorted({family, *(child.pid for child in psutil.Process(family).children(recursive=True))})
    assert len(pids) == 4


@pytest.mark.usefixtures("sums_memory")
def test_memory_is_the_share_where_it_may_be_read(family: int) -> None:
    found = memory(family)
    assert found
    size, is_share = found
    full = psutil.Process(family).memory_full_info()
    assert is_share
    assert full.uss <= size <= full.rss


@pytest.mark.usefixtures("sums_memory")
def test_memory_of_somebody_else_is_the_resident_size() -> None:
    pid = os.getpid() if os.geteuid() == 0 else 1
    found = as_nobody(lambda: memory(pid)) if os.geteuid() == 0 else list(memory(pid) or ())
    assert isinstance(found, list)
    size, is_share = found
    assert not is_share
    assert size == pytest.approx(psutil.Process(pid).memory_info().rss, rel=0.5)


@pytest.mark.usefixtures("lists_children")
@pytest.mark.usefixtures("sums_memory")
def test_process_that_is_gone_uses_nothing_and_has_no_children() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    assert memory(process.pid) is None
    assert tree_of(process.pid, children_finder()) == [process.pid]


@pytest.mark.usefixtures("sums_memory")
def test_process_that_nobody_has_waited_for_uses_nothing() -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert (memory(process.pid) or (0, True))[0] == 0
