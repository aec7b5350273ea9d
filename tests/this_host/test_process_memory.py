"""The memory of a process, as summed up by the kernel, or by psutil if it does not."""

from __future__ import annotations

import os
import subprocess

import psutil
import pytest

from procman.host import process
from procman.host.process import memory
from tests.backends.supervisor.real_supervisord import as_nobody


@pytest.fixture(params=[True, False], ids=["added up by the kernel", "psutil"])
def sums_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not process.SUMS_MEMORY:
        pytest.skip("this kernel does not add up the memory of a process")
    monkeypatch.setattr(process, "SUMS_MEMORY", request.param)


@pytest.mark.usefixtures("sums_memory")
def test_memory_is_the_share_if_readable(family: int) -> None:
    found = memory(family)
    assert found
    size, is_share = found
    full = psutil.Process(family).memory_full_info()
    assert is_share
    assert full.uss <= size <= full.rss


@pytest.mark.usefixtures("sums_memory")
def test_memory_of_another_users_process_is_the_resident_size() -> None:
    pid = os.getpid() if os.geteuid() == 0 else 1
    found = as_nobody(lambda: memory(pid)) if os.geteuid() == 0 else list(memory(pid) or ())
    assert isinstance(found, list)
    size, is_share = found
    assert not is_share
    assert size == pytest.approx(psutil.Process(pid).memory_info().rss, rel=0.5)


@pytest.mark.usefixtures("sums_memory")
def test_ended_process_uses_no_memory() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    assert memory(process.pid) is None


@pytest.mark.usefixtures("sums_memory")
def test_zombie_uses_no_memory() -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert (memory(process.pid) or (0, True))[0] == 0
