"""PM101 against real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from procman.model import End, InstalledProgram, Kind, Level, ProgramState, RunHistory, State
from procman.monitoring.checks.inputs import KeptWorker, ProgramSnapshot
from procman.monitoring.checks.process_state import check_processes
from tests.monitoring.checks.records import NAME, heartbeat, snapshot
from tests.monitoring.checks.records import state as reported_state

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


def test_memory_of_what_drains_is_apart_from_that_of_the_program() -> None:
    # Healing compares the latter with the limit of one process.
    with main_process(1) as pid, main_process(2) as earlier:
        draining = (KeptWorker("b", earlier, "draining", 0.0, 0.0, Path("/nonexistent")),)
        snapshots = [ProgramSnapshot(program(), state(State.RUNNING, pid), draining=each) for each in ((), draining)]
        alone, both = check_processes(snapshots)
    assert "draining_memory_bytes" not in alone.values
    assert both.values["children"] == 1
    assert 0 < both.values["memory_bytes"] < both.values["draining_memory_bytes"]


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


FAILED_TWICE = RunHistory(restarts=2, failures=2, ends=(End(1.0, "exit status 1"), End(2.0, "exit status 1")))


@pytest.mark.parametrize(
    ("phase", "level"),
    [
        (None, Level.CRITICAL),
        ("importing", Level.CRITICAL),
        ("starting", Level.CRITICAL),
        ("consuming", Level.OK),
        ("disconnected", Level.OK),
    ],
)
@pytest.mark.parametrize("kind", [State.STARTING, State.RUNNING])
def test_crash_loop_is_critical_until_it_has_been_healthy(kind: State, phase: str | None, level: Level) -> None:
    content = None if phase is None else heartbeat(phase=phase)
    state = reported_state(kind, os.getpid(), history=FAILED_TWICE)
    found = snapshot(content, state=state, last_error="KeyError: 'x'")
    [result] = check_processes([found])
    if kind is State.STARTING and phase == "disconnected":
        level = Level.WARNING
    assert result.level is level
    if level is Level.CRITICAL:
        assert result.detail == (
            "crash loop: it ended 2 times in a row before it was healthy (last: exit status 1): KeyError: 'x'"
        )


def test_slow_start_is_no_crash_loop() -> None:
    restarted = RunHistory(restarts=5, ends=FAILED_TWICE.ends)
    for history in (RunHistory(), restarted):
        found = snapshot(
            heartbeat(phase="importing"), state=reported_state(State.STARTING, os.getpid(), history=history)
        )
        assert check_processes([found])[0].level is Level.WARNING


def test_command_is_healthy_once_it_counts_as_started() -> None:
    command = program(kind=Kind.COMMAND)
    levels = [
        check_processes([ProgramSnapshot(command, reported_state(kind, os.getpid(), history=FAILED_TWICE))])[0].level
        for kind in (State.STARTING, State.RUNNING)
    ]
    assert levels == [Level.CRITICAL, Level.OK]


def test_stopped_program_is_in_no_crash_loop() -> None:
    found = ProgramSnapshot(program(), reported_state(State.STOPPED, desired=False, history=FAILED_TWICE))
    assert check_processes([found])[0].level is Level.OK


def test_interrupted_restart_has_the_command_that_completes_it() -> None:
    left = reported_state(State.STOPPING, os.getpid(), detail="its restart by ann was not completed")
    running = reported_state(State.STOPPING, os.getpid(), detail="being restarted by ann")
    hints = [check_processes([snapshot(state=each)])[0].hint for each in (left, running)]
    assert hints == [f"procman start {NAME}", ""]


def test_program_that_was_never_started_was_not_stopped() -> None:
    never = InstalledProgram("", "", Kind.WORKER, False, 1, 1, False, None, None)
    found = [
        check_processes([ProgramSnapshot(never, reported_state(State.STOPPED, None, desired=False, since=since))])[0]
        for since in (None, 5.0)
    ]
    assert [each.detail for each in found] == ["not started (autostart = false)", "stopped on purpose"]
