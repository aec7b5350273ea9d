"""Which process counts as a keeper, what an order to it may change, and the report if it does not answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from procman.backends.base import Controller
from procman.cli.restart import restart
from procman.deploy import keeper_answer, overlap
from procman.deploy.keeper_answer import KeeperUnusable, NotOverlapping, require_keeper
from procman.deploy.overlap import stop_draining, without_slot
from procman.deploy.rollout import Outcome, Reporter, RolloutOptions, _Rollout
from procman.errors import ProcmanError
from procman.install.state.lock import LOCK_SECONDS
from procman.install.state.manifest import Manifest
from procman.keeper import OVERLAP_SECONDS
from procman.model import Action, Activation, InstalledProgram, State
from tests.install import sample
from tests.install.people import needs_root
from tests.monitoring.checks.records import program, state
from tests.monitoring.test_pidfd_signal import Reporting

PROGRAM = program(name="catmaid-celery", overlap_max=2)


class Supervisor(Reporting):
    """A process manager that reports one main process, and notes what it is ordered to do."""

    def __init__(self, pid: int, order: Callable[[], object] = lambda: None) -> None:
        super().__init__(state(State.RUNNING, pid)._replace(name=PROGRAM.name))
        self.orders: list[str] = []
        self.failed = ""
        self._order = order

    def order_overlap(self, _: InstalledProgram) -> None:
        self.orders.append("overlap")
        self._order()

    def failed_order(self, _: InstalledProgram) -> str:
        return self.failed

    def order_end_of_drain(self, _: InstalledProgram) -> None:
        self.orders.append("end of drain")

    def activate(self, activation: Activation, _: object) -> str:
        self.orders.append(activation.action.value)
        return "restarted"

    def logs(self, *_: object) -> Sequence[str]:
        return []


def controller(supervisor: Supervisor) -> Controller:
    return supervisor  # type: ignore[return-value]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    desired = sample.DESIRED_STATES["one"]
    found = sample.manifest(tmp_path, desired, sample.rendering(tmp_path, desired))
    found.directories.state.mkdir(parents=True)
    for directory in found.directories.runs(PROGRAM.name, PROGRAM.overlap_max):
        directory.mkdir(parents=True)
    return found


@pytest.fixture
def keeper(manifest: Manifest) -> Iterator[subprocess.Popen[bytes]]:
    """A process with the command line of a keeper, which reports nothing by itself."""
    words = [sys.executable, "-c", "import time; time.sleep(600)", str(manifest.directories.library / "keeper.py")]
    with subprocess.Popen(words) as process:
        yield process
        process.kill()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_answer, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(keeper_answer, "ANSWER_SECONDS", 0.0)


def describe(manifest: Manifest, pid: int, number: int = 0, outcome: str = "done", reason: str = "") -> Path:
    last = {"number": number, "outcome": outcome, "reason": reason, "since": 0.0}
    found: dict[str, object] = {"format": 1, "pid": pid, "current": None, "overlap": last, "workers": []}
    path = manifest.directories.run(PROGRAM.name) / "keeper.json"
    path.write_text(json.dumps(found))
    return path


def failure(manifest: Manifest, supervisor: Supervisor) -> Any:
    return overlap.overlap(controller(supervisor), manifest, PROGRAM, lambda _: None)


@pytest.mark.parametrize("content", ["{", "[]", "{}", None])
def test_keeper_whose_report_cannot_be_used_is_given_no_order_and_is_not_restarted(
    manifest: Manifest, keeper: subprocess.Popen[bytes], content: str | None
) -> None:
    path = describe(manifest, keeper.pid)
    path.unlink() if content is None else path.write_text(content)
    supervisor = Supervisor(keeper.pid)
    found = failure(manifest, supervisor)
    assert found.why.startswith(
        f"was not restarted: its keeper, process {keeper.pid}, cannot be given an order: {path}"
    )
    assert "procman restart catmaid-celery" in found.hint
    assert supervisor.orders == []


def test_install_refuses_a_change_that_needs_such_a_keeper(manifest: Manifest, keeper: subprocess.Popen[bytes]) -> None:
    describe(manifest, keeper.pid).unlink()
    [problem] = without_slot(manifest, controller(Supervisor(keeper.pid)), [PROGRAM])
    assert f"catmaid-celery: its keeper, process {keeper.pid}, cannot be given an order" in problem


def test_end_of_drain_fails_if_the_keeper_cannot_be_asked(manifest: Manifest, keeper: subprocess.Popen[bytes]) -> None:
    supervisor = Supervisor(keeper.pid)
    with pytest.raises(KeeperUnusable, match=r"keeper\.json is missing"):
        stop_draining(controller(supervisor), manifest, PROGRAM, lambda _: None)
    assert supervisor.orders == []


def test_end_of_drain_names_a_keeper_that_is_suspended(
    manifest: Manifest, keeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, pid = describe(manifest, os.getpid()), keeper.pid
    drains = {"slot": "b", "pid": pid, "state": "draining", "started": 0.0, "since": 0.0}
    path.write_text(json.dumps({**json.loads(path.read_text()), "workers": [drains]}))
    monkeypatch.setattr(overlap, "MARGIN_SECONDS", 0.0)
    monkeypatch.setattr(overlap, "is_suspended", lambda _: True)
    impatient = replace(PROGRAM, stop_timeout_seconds=0)
    with pytest.raises(ProcmanError, match=rf"process {pid} did not end .* is suspended") as caught:
        stop_draining(controller(Supervisor(os.getpid())), manifest, impatient, lambda _: None)
    assert caught.value.hint == f"kill -CONT {os.getpid()}"


def test_process_that_is_no_keeper_has_none_yet(manifest: Manifest) -> None:
    with pytest.raises(NotOverlapping, match="has no keeper yet"):
        require_keeper(controller(Supervisor(os.getpid())), manifest, PROGRAM)
    assert without_slot(manifest, controller(Supervisor(os.getpid())), [PROGRAM]) == []


def test_install_reports_that_it_restarts_without_an_overlap(manifest: Manifest) -> None:
    announced: list[str] = []
    reporter = Reporter(lambda _: None, lambda *_: None, announced.append, lambda _: None)
    supervisor = Supervisor(os.getpid())
    rollout = _Rollout(None, manifest, RolloutOptions(reporter), Outcome(), ())  # type: ignore[arg-type]
    assert rollout._carried_out(controller(supervisor), Activation(Action.OVERLAP, PROGRAM, True)) == "restarted"
    assert supervisor.orders == ["restart"]
    assert announced == [
        f"catmaid-celery: its process {os.getpid()} has no keeper yet; it is restarted without an overlap"
    ]


def test_other_commands_wait_for_longer_than_a_failed_overlap_holds_the_lock() -> None:
    [patience] = {each.default for each in restart.params if each.name == "lock_seconds"}
    assert patience == LOCK_SECONDS
    assert patience > overlap.ENDING_SECONDS + OVERLAP_SECONDS + keeper_answer.MARGIN_SECONDS


@needs_root
def test_directory_that_the_keeper_cannot_write_to_is_named_at_once(
    manifest: Manifest, keeper: subprocess.Popen[bytes]
) -> None:
    describe(manifest, keeper.pid)
    supervisor, second = Supervisor(keeper.pid), manifest.directories.runs(PROGRAM.name, 2)[1]
    for place in (second, *second.parents):
        if not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o755)
    found = overlap.overlap(controller(supervisor), manifest, replace(PROGRAM, user="nobody"), lambda _: None)
    assert found
    assert "belongs to root, not to nobody" in found.why
    assert supervisor.orders == []


def test_directory_of_a_further_slot_may_be_created_by_the_install(
    manifest: Manifest, keeper: subprocess.Popen[bytes]
) -> None:
    describe(manifest, keeper.pid)
    assert without_slot(manifest, controller(Supervisor(keeper.pid)), [replace(PROGRAM, overlap_max=5)]) == []


def test_full_file_system_is_named_at_once(
    manifest: Manifest, keeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    describe(manifest, keeper.pid)
    space = os.statvfs("/")
    full = os.statvfs_result([*space[:4], 0, *space[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    supervisor = Supervisor(keeper.pid)
    found = failure(manifest, supervisor)
    directory = manifest.directories.run(PROGRAM.name)
    assert f"cannot be given an order: the file system of {directory} is full" in found.why
    assert supervisor.orders == []


def test_keeper_that_ends_during_an_overlap_fails_it_at_once(
    manifest: Manifest, keeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_answer, "ANSWER_SECONDS", 600.0)
    describe(manifest, keeper.pid)

    def order() -> None:
        describe(manifest, keeper.pid, 1, "begun")
        keeper.kill()

    # It is not reaped: its parent may be frozen.
    found = failure(manifest, Supervisor(keeper.pid, order))
    assert f"its keeper, process {keeper.pid}, has ended meanwhile" in found.why
    assert "still consumes" not in found.why


def test_last_word_of_a_keeper_that_has_ended_counts(manifest: Manifest, keeper: subprocess.Popen[bytes]) -> None:
    describe(manifest, keeper.pid)

    def order() -> None:
        describe(manifest, keeper.pid, 1, "failed", "the program is being stopped")
        keeper.kill()

    found = failure(manifest, Supervisor(keeper.pid, order))
    assert found.why == "the overlap restart failed: the program is being stopped"


def test_order_to_a_suspended_keeper_is_reported_as_pending(
    manifest: Manifest, keeper: subprocess.Popen[bytes]
) -> None:
    describe(manifest, keeper.pid)
    os.kill(keeper.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, keeper.pid, os.WSTOPPED | os.WNOWAIT)
    found = failure(manifest, Supervisor(keeper.pid))
    assert f"(process {keeper.pid} is suspended by a signal); the order is pending" in found.why
    assert found.hint.startswith(f"Let it continue: kill -CONT {keeper.pid}\n")
    assert "To withdraw the order" in found.hint


def test_order_waits_for_the_end_of_an_overlap_that_was_ordered_before(
    manifest: Manifest, keeper: subprocess.Popen[bytes]
) -> None:
    describe(manifest, keeper.pid, 1, "begun")
    supervisor = Supervisor(keeper.pid, lambda: describe(manifest, keeper.pid, 2))

    def progress(_: str) -> None:
        assert supervisor.orders == []
        describe(manifest, keeper.pid, 1)

    assert overlap.overlap(controller(supervisor), manifest, PROGRAM, progress) is None
    assert supervisor.orders == ["overlap"]


def test_order_does_not_wait_for_a_suspended_keeper(manifest: Manifest, keeper: subprocess.Popen[bytes]) -> None:
    describe(manifest, keeper.pid, 1, "begun")
    os.kill(keeper.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, keeper.pid, os.WSTOPPED | os.WNOWAIT)
    assert "the order is pending" in failure(manifest, Supervisor(keeper.pid)).why


def test_order_that_the_process_manager_has_not_passed_on_is_not_reported_as_pending(
    manifest: Manifest, keeper: subprocess.Popen[bytes]
) -> None:
    describe(manifest, keeper.pid)
    supervisor = Supervisor(keeper.pid)
    supervisor.failed = "systemd's reload failed"
    assert failure(manifest, supervisor).why == "was not restarted: systemd's reload failed"
