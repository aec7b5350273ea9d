"""PM101 against real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from procman.model import InstalledProgram, Kind, Level, ProgramState, State
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.checks.process_state import check_processes

MAIN_WITH_CHILDREN = """
import subprocess, sys
sleeper = [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"]
children = [subprocess.Popen(sleeper, stdout=subprocess.PIPE) for _ in range(int(sys.argv[1]))]
for child in children:
    child.stdout.readline()
print("ready", flush=True)
sys.stdin.read()
for child in children:
    child.kill()
    child.wait()
"""


def program(pool: str | None = None, kind: Kind = Kind.WORKER) -> InstalledProgram:
    return InstalledProgram("demo-celery", "worker.celery", kind, True, 600, 10, True, None, None, pool)


def state(kind: State, pid: int | None = None, *, desired: bool = True, detail: str = "") -> ProgramState:
    return ProgramState("demo-celery", desired, kind, pid, detail=detail)


@contextmanager
def main_process(children: int) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", MAIN_WITH_CHILDREN, str(children)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            assert process.stdin
            process.stdin.close()


def test_worker_with_pool_processes_is_ok_and_its_tree_is_measured() -> None:
    with main_process(2) as pid:
        [result] = check_processes([ProgramSnapshot(program(), state(State.RUNNING, pid))])
        own = psutil.Process(pid).memory_full_info().pss
    assert (result.code, result.level, result.detail) == ("PM101", Level.OK, "")
    assert result.values["children"] == 2
    assert result.values["memory_bytes"] > 1.5 * own


def test_beat_needs_no_children() -> None:
    with main_process(0) as pid:
        [result] = check_processes([ProgramSnapshot(program(kind=Kind.BEAT), state(State.RUNNING, pid))])
    assert result.level is Level.OK


def test_process_that_has_ended_is_critical() -> None:
    with main_process(0) as pid:
        pass
    [result] = check_processes([ProgramSnapshot(program(kind=Kind.BEAT), state(State.RUNNING, pid))])
    assert result.level is Level.CRITICAL
    assert str(pid) in result.detail


@pytest.mark.parametrize(
    ("given", "level"),
    [
        (state(State.STOPPED, desired=False), Level.OK),
        (state(State.STOPPED), Level.CRITICAL),
        (state(State.EXITED, detail="exit status 1"), Level.CRITICAL),
        (state(State.FATAL), Level.CRITICAL),
        (state(State.BACKOFF), Level.CRITICAL),
        (state(State.STARTING, os.getpid()), Level.WARNING),
        (state(State.UNKNOWN, detail="no answer"), Level.UNKNOWN),
    ],
)
def test_level_of_a_program_that_does_not_run_follows_its_state(given: ProgramState, level: Level) -> None:
    [result] = check_processes([ProgramSnapshot(program(), given)])
    assert result.level is level
    assert level is Level.OK or given.detail in result.detail
