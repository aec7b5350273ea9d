"""An order that procman was given decides whether a stopped program should run, until the program is started."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from procman.host.ordered import with_orders
from procman.host.process import boot_id, identity
from procman.install.safe_fs.tree import Tree
from procman.install.state.desired_states import DesiredState, read_desired, remove_desired, write_desired
from procman.model import ProgramState, State

NAME = "catmaid-celery"
NOW = time.time()


def order(*, desired: bool, process: str = "", boot: str | None = None) -> DesiredState:
    return DesiredState(NAME, desired, "ann", NOW, boot_id() if boot is None else boot, process)


def after(state: ProgramState, given: DesiredState, directory: Path) -> ProgramState:
    with Tree() as tree:
        write_desired(tree, directory, given, 0o755)
    [found] = with_orders([state], directory)
    return found


@pytest.mark.parametrize("state", [State.STOPPED, State.STOPPING])
def test_program_whose_restart_was_interrupted_should_run(state: State, tmp_path: Path) -> None:
    stopped = ProgramState(NAME, desired=False, state=state, started=NOW - 5)
    found = after(stopped, order(desired=True, process="1 0"), tmp_path)
    assert (found.desired, found.detail) == (True, "its restart by ann was not completed")
    running = after(stopped, order(desired=True, process=identity(os.getpid())), tmp_path)
    assert (running.desired, running.detail) == (True, "being restarted by ann")


def test_process_that_was_killed_and_never_reaped_restarts_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        stopped = ProgramState(NAME, desired=False, state=State.STOPPED, started=NOW - 5)
        found = after(stopped, order(desired=True, process=identity(process.pid)), tmp_path)
    assert found.detail == "its restart by ann was not completed"


def test_program_that_was_stopped_stays_stopped_under_a_new_process_manager(tmp_path: Path) -> None:
    assert not after(ProgramState(NAME, desired=True, state=State.STOPPED), order(desired=False), tmp_path).desired


@pytest.mark.parametrize(
    ("state", "given"),
    [
        pytest.param(State.STOPPED, order(desired=True, boot="another"), id="the host was booted since"),
        pytest.param(State.RUNNING, order(desired=True), id="it runs"),
        pytest.param(State.FATAL, order(desired=True), id="it was started and failed"),
    ],
)
def test_order_that_is_over_changes_nothing(state: State, given: DesiredState, tmp_path: Path) -> None:
    reported = ProgramState(NAME, desired=False, state=state, started=NOW - 5)
    assert after(reported, given, tmp_path) == reported


def test_start_by_any_means_ends_an_order(tmp_path: Path) -> None:
    started = ProgramState(NAME, desired=False, state=State.STOPPED, started=NOW + 2)
    assert after(started, order(desired=True), tmp_path) == started


def test_orders_are_forgotten_and_damaged_ones_are_ignored(tmp_path: Path) -> None:
    with Tree() as tree:
        write_desired(tree, tmp_path, order(desired=False), 0o755)
        assert [*read_desired(tree, tmp_path, boot_id())] == [NAME]
        (tmp_path / "desired" / "catmaid-b.json").write_text("{")
        (tmp_path / "desired" / f".{NAME}.json.procman-0123456789abcdef").write_text("{")
        assert [*read_desired(tree, tmp_path, boot_id())] == [NAME]
        remove_desired(tree, tmp_path, NAME)
        remove_desired(tree, tmp_path, NAME)
        assert read_desired(tree, tmp_path, boot_id()) == {}
