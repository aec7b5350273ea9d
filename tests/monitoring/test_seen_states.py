"""The states that a user sees whom supervisord does not answer: only of processes that are there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from procman.agent.heartbeat_format import FILE
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, Kind, ProgramState, State
from procman.monitoring.program_view import now
from procman.monitoring.seen_states import UNSEEN, as_seen
from tests.monitoring.checks.records import heartbeat, program

NAME = "catmaid-celery"
ENDED = 2**22 + 1
"""Larger than any pid (proc(5), pid_max)."""

LOCKING = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(1000)
"""


def seen(manifest: Manifest, **changed: Any) -> ProgramState:
    which = program(**{"name": NAME, "user": None, "start_seconds": 0, **changed})
    hidden = ProgramState(NAME, which.autostart, State.UNKNOWN, detail="only root may use it", answers_only="root")
    [found] = as_seen(manifest, [which], [hidden])
    assert found.answers_only == "root"
    return found


def write(manifest: Manifest, **changed: Any) -> None:
    content = {**heartbeat(boot_id=now().boot), "pid": os.getpid(), "wall": time.time(), **changed}
    (manifest.directories.run(NAME) / FILE).write_text(json.dumps(content))


@contextmanager
def locked(path: Path) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", LOCKING, path], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def test_process_that_wrote_the_heartbeat_is_running(manifest: Manifest) -> None:
    write(manifest)
    found = seen(manifest)
    assert (found.state, found.pid, found.desired, found.detail) == (State.RUNNING, os.getpid(), True, "")
    assert found.since is not None
    assert found.since <= time.time()


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_process_is_seen_although_the_clock_was_set(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    clock = time.time
    write(manifest)
    monkeypatch.setattr(time, "time", lambda: clock() + seconds)
    assert (seen(manifest).state, seen(manifest).pid) == (State.RUNNING, os.getpid())


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        ("importing", State.STARTING),
        ("starting", State.STARTING),
        ("consuming", State.RUNNING),
        ("disconnected", State.RUNNING),
        ("stopping", State.STOPPING),
    ],
)
def test_state_follows_the_phase(manifest: Manifest, phase: str, state: State) -> None:
    write(manifest, phase=phase)
    assert seen(manifest).state is state


def test_young_process_is_starting(manifest: Manifest) -> None:
    write(manifest)
    assert seen(manifest, start_seconds=10**6).state is State.STARTING


@pytest.mark.parametrize(
    "changed",
    [
        {"pid": ENDED},
        {"written": 1.0},  # a process that is younger than the heartbeat
        {"boot_id": "another boot"},
        {"phase": "no such phase"},
    ],
)
def test_heartbeat_of_a_process_that_is_gone_proves_nothing(manifest: Manifest, changed: dict[str, Any]) -> None:
    write(manifest, **changed)
    assert seen(manifest)[1:4] == (True, State.UNKNOWN, None)
    assert seen(manifest).detail == UNSEEN


def test_process_of_another_user_is_not_the_program(manifest: Manifest) -> None:
    write(manifest)
    assert seen(manifest, user="daemon").state is State.UNKNOWN


def test_command_is_running_while_its_process_holds_the_lock(manifest: Manifest) -> None:
    def command(**changed: Any) -> ProgramState:
        return seen(manifest, kind=Kind.COMMAND, key="command.celery", **changed)

    lock = manifest.directories.run(NAME) / "lock"
    assert command().state is State.UNKNOWN
    with locked(lock) as pid:
        assert (command().state, command().pid) == (State.RUNNING, pid)
        assert command(launcher=False).state is State.UNKNOWN
    assert command().state is State.UNKNOWN


def test_worker_that_has_its_lock_and_no_heartbeat_yet_is_starting(manifest: Manifest) -> None:
    with locked(manifest.directories.run(NAME) / "lock") as pid:
        assert (seen(manifest).state, seen(manifest).pid) == (State.STARTING, pid)


def test_worker_without_autostart_is_not_started_if_its_run_directory_shows_no_process(manifest: Manifest) -> None:
    found = seen(manifest, autostart=False)
    assert (found.state, found.desired) == (State.STOPPED, False)
    manifest.directories.run(NAME).rmdir()
    assert seen(manifest, autostart=False).state is State.UNKNOWN


def test_watcher_is_found_by_its_command_line(manifest: Manifest) -> None:
    watcher: dict[str, Any] = {"kind": Kind.HEALTH, "key": "health", "launcher": False}
    assert seen(manifest, **watcher).state is State.UNKNOWN
    words = ["heal", "--state", str(manifest.directories.state), "--listen"]
    script = "import sys; print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", script, *words]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert (seen(manifest, **watcher).state, seen(manifest, **watcher).pid) == (State.RUNNING, process.pid)


def test_answer_of_the_process_manager_is_kept(manifest: Manifest) -> None:
    write(manifest)
    answered = ProgramState(NAME, True, State.FATAL)
    which: InstalledProgram = program(name=NAME)
    assert as_seen(manifest, [which], [answered]) == [answered]
