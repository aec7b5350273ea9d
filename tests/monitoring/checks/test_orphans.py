"""PM109 against real processes without a process manager."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from procman.model import Level, State
from procman.monitoring.checks.orphans import check_orphans
from tests.monitoring.checks.records import WAITING, family, program, reported, running, snapshot, state

# Each would see the processes of another, which have the same name and run directory.
pytestmark = pytest.mark.xdist_group("orphans")


@contextmanager
def orphan(launcher: Path, *words: str, **environment: str) -> Iterator[int]:
    """Run the launcher as a process whose parent has ended."""
    starting = (
        "import subprocess, sys; "
        "print(subprocess.Popen(sys.argv[1:], stdin=0, stdout=subprocess.DEVNULL).pid, flush=True)"
    )
    reader, writer = os.pipe()
    command = [sys.executable, "-c", starting, sys.executable, str(launcher), *words]
    begun = subprocess.run(
        command, stdin=reader, stdout=subprocess.PIPE, env={**os.environ, **environment}, check=True, text=True
    )
    os.close(reader)
    try:
        yield int(begun.stdout)
    finally:
        os.close(writer)


def test_process_of_an_earlier_run_is_reported(launcher: Path) -> None:
    with orphan(launcher, PROCMAN_PROGRAM="demo-celery") as pid, family(0) as main:
        found = running(snapshot(state=state(pid=main)), launcher=launcher)
        if found.processes[pid].parent != 1:
            pytest.skip("on this machine another process than process 1 adopts orphans")
        [result] = check_orphans(found)
    assert (result.level, result.detail) == (
        Level.WARNING,
        f"process {pid} of an earlier run is still running, without a process manager",
    )
    assert f"kill -TERM {pid}" in result.hint


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Return a file with the path of Celery's main module, as the command line of `python -m celery` shows it."""
    path = tmp_path / "celery" / "__main__.py"
    path.parent.mkdir()
    path.write_text(WAITING)
    return path


WORKER = ("-A", "mysite", "worker", "-n", "demo-celery@%h")
RUN_DIRECTORY = "/var/lib/procman/demo/run/demo-celery"


def test_worker_that_detached_itself_is_reported(module: Path) -> None:
    started = {"PROCMAN_PROGRAM": "demo-celery", "PROCMAN_RUN_DIRECTORY": RUN_DIRECTORY}
    with orphan(module, *WORKER, **started) as first, orphan(module, *WORKER, **started) as second:
        found = running(snapshot(state=state(State.BACKOFF)))
        if found.processes[first].parent != 1:
            pytest.skip("on this machine another process than process 1 adopts orphans")
        [result] = check_orphans(found)
        assert result.level is Level.WARNING
        both = sorted((first, second))
        assert result.detail.startswith(f"processes {both[0]}, {both[1]} are detached from the process manager")
        kill, follow = result.hint.splitlines()
        assert kill.endswith(f"kill -TERM {both[0]} {both[1]}")
        pattern = shlex.split(follow)[-1]
        matching = subprocess.run(["pgrep", "-f", "--", pattern], capture_output=True, text=True, check=True).stdout
        assert {*matching.split()} == {str(first), str(second)}


@pytest.mark.parametrize(
    "environment",
    [
        {"PROCMAN_PROGRAM": ""},
        {"PROCMAN_PROGRAM": "demo-crop", "PROCMAN_RUN_DIRECTORY": RUN_DIRECTORY},
        {"PROCMAN_PROGRAM": "demo-celery", "PROCMAN_RUN_DIRECTORY": "/home/anna/.local/state/procman/demo/run"},
    ],
    ids=["a unit of the administrator", "another program", "another scope"],
)
def test_worker_that_the_program_did_not_start_is_no_orphan(module: Path, environment: dict[str, str]) -> None:
    with orphan(module, *WORKER, **environment):
        assert reported(check_orphans(running(snapshot(state=state(State.BACKOFF))))) == (Level.OK, "")


@pytest.mark.root("only root sees the programs of another user")
def test_process_of_another_user_is_no_orphan(module: Path) -> None:
    started = {"PROCMAN_PROGRAM": "demo-celery", "PROCMAN_RUN_DIRECTORY": RUN_DIRECTORY}
    with orphan(module, *WORKER, **started):
        own = snapshot(program=program(user="nobody"), state=state(State.BACKOFF))
        assert reported(check_orphans(running(own))) == (Level.OK, "")


def test_main_process_and_process_of_another_program_are_no_orphans(launcher: Path) -> None:
    with (
        orphan(launcher, PROCMAN_PROGRAM="demo-crop") as other,
        orphan(launcher, PROCMAN_PROGRAM="demo-celery") as main,
    ):
        own = snapshot(state=state(pid=main))
        assert reported(check_orphans(running(own, launcher=launcher))) == (Level.OK, "")
        # A process that the process manager knows is no orphan, even if its program is not checked.
        crop = snapshot(program=program(name="demo-crop"), state=state(State.STOPPED))
        assert reported(check_orphans(running(crop, launcher=launcher, others=(other,)))) == (Level.OK, "")


def test_launcher_started_by_hand_is_no_orphan(launcher: Path) -> None:
    environment = {**os.environ, "PROCMAN_PROGRAM": "demo-celery"}
    with subprocess.Popen(
        [sys.executable, launcher], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout
        process.stdout.readline()
        with family(0) as main:
            found = running(snapshot(state=state(pid=main)), launcher=launcher)
        assert process.pid in found.processes
        assert reported(check_orphans(found)) == (Level.OK, "")
