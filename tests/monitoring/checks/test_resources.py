"""PM107 and PM108 against real processes."""

from __future__ import annotations

import os
import resource

import pytest

from procman.model import Level
from procman.monitoring.checks import resources
from procman.monitoring.checks.resources import check_memory, check_open_files
from tests.monitoring.checks.records import family, program, reported, running, snapshot, state


@pytest.mark.parametrize(("limit", "level"), [(100_000, Level.OK), (1, Level.CRITICAL)])
def test_memory_of_all_processes_is_compared_with_the_limit(limit: int, level: Level) -> None:
    with family(2, code="held = b'x' * (50 << 20)") as pid:
        found = snapshot(program=program(memory_restart_mib=limit), state=state(pid=pid))
        [result] = check_memory(running(found))
    assert result.level is level
    mib = result.values["memory_mib"]
    # The memory that it holds, and three Pythons, which share most of their pages.
    assert 50 < mib < 400
    assert result.detail == f"it uses {mib:.0f} MiB of memory; its limit is {limit} MiB"


def test_memory_near_the_limit_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "memory", lambda pid: (95 * resources.MIB, True))
    with family(0) as pid:
        found = running(snapshot(program=program(memory_restart_mib=100), state=state(pid=pid)))
        assert reported(check_memory(found)) == (Level.WARNING, "it uses 95 MiB of memory; its limit is 100 MiB")


def test_memory_is_unknown_if_its_shared_part_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "memory", lambda pid: (200 * resources.MIB, False))
    with family(0) as pid:
        found = running(snapshot(program=program(memory_restart_mib=100), state=state(pid=pid)))
        assert reported(check_memory(found))[0] is Level.UNKNOWN


def test_memory_without_a_limit_gives_no_result() -> None:
    assert list(check_memory(running(snapshot()))) == []


HOLDING = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
held = [open("/dev/null") for _ in range({})]
"""


@pytest.mark.parametrize(("held", "level"), [(0, Level.OK), (80, Level.WARNING), (93, Level.CRITICAL)])
def test_open_files_are_compared_with_the_limit_of_the_process(held: int, level: Level) -> None:
    with family(0, code=HOLDING.format(held)) as pid:
        [result] = check_open_files(running(snapshot(state=state(pid=pid))))
    assert result.level is level
    # stdin, stdout and stderr, and the files that the tests passed on.
    assert held + 3 <= result.values["open_files"] <= held + 6
    assert level is Level.OK or result.detail.endswith(" of at most 100 files open")


def test_each_process_is_compared_with_its_own_limit() -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 200
    with family(1, code=HOLDING.format(80)) as pid:
        [result] = check_open_files(running(snapshot(state=state(pid=os.getpid()))))
        assert result.level is Level.WARNING
        assert str(pid) not in result.detail
