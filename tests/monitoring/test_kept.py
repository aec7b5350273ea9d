"""The processes of a worker that overlaps, as a keeper describes them in a file that is not trusted (S3)."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procman.host.process import identity
from procman.host.process import suspended as is_suspended
from procman.install.state.manifest import Manifest
from procman.model import Level, Result, State
from procman.monitoring.checks.draining_processes import check as check_drainers
from procman.monitoring.checks.inputs import FailedOverlap, Keeper
from procman.monitoring.checks.keeper import check as check_keeper
from procman.monitoring.draining import Draining, DrainingTask, draining_of
from procman.monitoring.kept import as_kept, kept_by, overlap_ended
from procman.monitoring.pidfd_signal import ProcessChanged, send
from procman.monitoring.program_view import now, program_snapshots
from procman.monitoring.status import ProgramStatus
from procman.output.status import as_json, as_text
from procman.output.terminal import local_time
from tests.monitoring.checks.records import heartbeat, program, running, state
from tests.monitoring.test_pidfd_signal import controller
from tests.output.test_status import status
from tests.product import eventually

PROGRAM = program(name="catmaid-celery", overlap_max=2)
KEEPER = os.getpid()
TASK = {"id": "4711", "name": "tasks.crop", "since": time.monotonic() - 7200}


@pytest.fixture
def child() -> Iterator[int]:
    """A child of this process, which the tests take for a keeper."""
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def other() -> Iterator[int]:
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        yield process.pid
        process.kill()


def worker(pid: int, slot: str, doing: str) -> dict[str, Any]:
    moment = time.monotonic() - 60
    return {"slot": slot, "pid": pid, "state": doing, "started": moment, "since": moment}


def describe(manifest: Manifest, *workers: dict[str, Any], current: int | None, **changed: Any) -> None:
    overlap = {"number": 1, "outcome": "done", "reason": "", "since": 0.0}
    found = {"format": 1, "pid": KEEPER, "current": current, "overlap": overlap, "workers": workers, **changed}
    (manifest.directories.run(PROGRAM.name) / "keeper.json").write_text(json.dumps(found))


def beat(manifest: Manifest, directory: str, pid: int, **changed: Any) -> None:
    path = manifest.directories.run(directory)
    path.mkdir(exist_ok=True)
    content = {**heartbeat(boot_id=now().boot), "pid": pid, **changed}
    (path / "heartbeat.json").write_text(json.dumps(content))


def test_process_that_consumes_counts_as_the_program(manifest: Manifest, child: int, other: int) -> None:
    describe(manifest, worker(child, "b", "consuming"), worker(other, "a", "draining"), current=child)
    beat(manifest, "catmaid-celery", other, phase="draining", busy=1, tasks=[TASK])
    beat(manifest, "catmaid-celery-b", child, busy=0)
    [found] = program_snapshots(manifest, [PROGRAM], [state(pid=KEEPER)])
    assert found.state.pid == child
    assert found.says["pid"] == child
    assert time.time() - (found.state.since or 0) == pytest.approx(60, abs=30)
    [draining] = draining_of(found)
    assert (draining.pid, draining.state, draining.busy) == (other, "draining", 1)
    assert [(task.id, task.name) for task in draining.tasks] == [("4711", "tasks.crop")]


def test_worker_that_ended_beside_what_drains_waits_to_be_started(manifest: Manifest, child: int, other: int) -> None:
    describe(manifest, worker(other, "a", "draining"), current=None)
    seen = as_kept(manifest, PROGRAM, state(pid=KEEPER))
    assert (seen.state.state, seen.state.pid, [each.pid for each in seen.draining]) == (State.BACKOFF, None, [other])
    assert as_kept(manifest, PROGRAM, state(State.STOPPING, KEEPER)).state.state is State.STOPPING
    describe(manifest, worker(other, "a", "draining"), worker(child, "b", "starting"), current=None)
    assert as_kept(manifest, PROGRAM, state(pid=KEEPER)).state.pid == child


def test_process_that_is_no_child_of_the_keeper_is_ignored(manifest: Manifest, child: int) -> None:
    describe(manifest, worker(1, "b", "consuming"), worker(child, "a", "draining"), current=1)
    kept = kept_by(manifest, PROGRAM, KEEPER)
    assert kept
    assert kept.current is None
    assert [each.pid for each in kept.others] == [child]


@pytest.mark.parametrize(
    "changed",
    [
        {"pid": 1},
        {"written": "x"},
        {"overlap_failed": 5},
        {"workers": 5},
        {"workers": [{}]},
        {"overlap": None},
        {"workers": [worker(1, "../..", "draining")]},
    ],
)
def test_file_of_another_process_or_form_describes_nothing(manifest: Manifest, changed: dict[str, Any]) -> None:
    describe(manifest, current=None, **changed)
    assert kept_by(manifest, PROGRAM, KEEPER) is None


def test_program_without_overlap_has_no_keeper(manifest: Manifest, child: int) -> None:
    describe(manifest, worker(child, "a", "consuming"), current=child)
    assert kept_by(manifest, program(name="catmaid-celery"), KEEPER) is None


def test_link_in_the_place_of_the_file_is_not_followed(manifest: Manifest, tmp_path: Path, child: int) -> None:
    describe(manifest, worker(child, "a", "consuming"), current=child)
    file = manifest.directories.run(PROGRAM.name) / "keeper.json"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert kept_by(manifest, PROGRAM, KEEPER) is None


def test_signal_of_healing_reaches_a_child_of_the_keeper(child: int) -> None:
    send(controller(KEEPER), PROGRAM, identity(child), signal.SIGTERM)
    ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert ended.si_status == signal.SIGTERM


def test_no_signal_reaches_a_child_of_another_process(child: int) -> None:
    with pytest.raises(ProcessChanged):
        send(controller(1), PROGRAM, identity(child), signal.SIGKILL)
    with pytest.raises(ProcessChanged):
        send(controller(KEEPER), program(name="catmaid-celery"), identity(child), signal.SIGKILL)


def test_status_shows_what_drains_since_when_and_with_which_tasks(tmp_path: Path) -> None:
    tasks = (DrainingTask("4711", "tasks.crop", 7320.0),)
    found = ProgramStatus(
        PROGRAM,
        state(),
        Result("PM200", PROGRAM.name, Level.OK, ""),
        "",
        True,
        draining=(Draining(12, "draining", 7800.0, 1, tasks), Draining(13, "stopping", 5.0, 0, ())),
    )
    lines = list(as_text(status(tmp_path, found), io.StringIO()))
    assert "catmaid-celery: process 12 has been draining for 2h10m: tasks.crop 4711 (2h2m)" in lines
    assert "catmaid-celery: process 13 has been stopping for 5s: running tasks: none" in lines


FAILED = {"at": 1000.0, "outcome": "failed", "reason": "process 12 ended"}


def test_failed_overlap_is_shown_with_its_time_and_reason(manifest: Manifest, child: int, tmp_path: Path) -> None:
    consuming = worker(child, "a", "consuming")
    describe(manifest, consuming, current=child, overlap_failed=FAILED)
    [found] = program_snapshots(manifest, [PROGRAM], [state(pid=KEEPER)])
    assert found.keeper
    failed = found.keeper.overlap_failed
    assert failed == FailedOverlap(1000.0, "failed", "process 12 ended")
    row = ProgramStatus(
        PROGRAM, found.state, Result("PM200", PROGRAM.name, Level.OK, ""), "", True, overlap_failed=failed
    )
    shown = status(tmp_path, row)
    lines = list(as_text(shown, io.StringIO()))
    at = " ".join(local_time(1000))
    expected = f"catmaid-celery: its last overlap restart failed at {at}: process 12 ended"
    assert lines[lines.index(expected) + 1] == "  procman logs catmaid-celery"
    [document] = json.loads(as_json(shown))["programs"]
    assert document["overlap_failed"] == FAILED
    refused = shown._replace(programs=(row._replace(overlap_failed=failed._replace(outcome="refused")),))
    lines = list(as_text(refused, io.StringIO()))
    assert "  procman restart --overlap --wait-for-slot catmaid-celery" in lines
    describe(manifest, consuming, current=child, overlap_failed=None)
    [found] = program_snapshots(manifest, [PROGRAM], [state(pid=KEEPER)])
    assert found.keeper == Keeper(KEEPER, None, None)


def test_time_of_an_overlap_is_that_of_the_keeper_unless_it_is_impossible(manifest: Manifest, child: int) -> None:
    began = time.time()
    for at, is_its_own in ((began, True), (began - 1, False), (began + 3600, False), ("x", False), (None, False)):
        overlap = {"number": 1, "outcome": "done", "reason": "", "since": 0.0, "at": at}
        describe(manifest, worker(child, "a", "consuming"), current=child, overlap=overlap)
        assert (overlap_ended(manifest, PROGRAM, began) == at) is is_its_own


@pytest.mark.parametrize(("age", "level"), [(5.0, Level.OK), (60.0, Level.WARNING)])
def test_keeper_that_does_nothing_is_reported(manifest: Manifest, child: int, age: float, level: Level) -> None:
    written = time.monotonic() - age
    describe(manifest, worker(child, "a", "consuming"), current=child, written=written)
    [found] = program_snapshots(manifest, [PROGRAM], [state(pid=KEEPER)])
    [result] = check_keeper(running(found))
    assert (result.code, result.level) == ("PM116", level)
    assert (f"its keeper, process {KEEPER}, has done nothing for" in result.detail) is (level is Level.WARNING)
    os.kill(child, signal.SIGSTOP)
    assert found.keeper
    suspended = found._replace(keeper=found.keeper._replace(pid=child))
    eventually(lambda: is_suspended(child), "it is suspended")
    [result] = check_keeper(running(suspended))
    assert (result.hint == f"kill -CONT {child}") is (level is Level.WARNING)


@pytest.mark.parametrize(("age", "level"), [(5.0, Level.OK), (60.0, Level.WARNING)])
def test_process_that_drains_without_a_heartbeat_is_reported(
    manifest: Manifest, child: int, other: int, age: float, level: Level
) -> None:
    describe(manifest, worker(child, "b", "consuming"), worker(other, "a", "draining"), current=child)
    beat(manifest, "catmaid-celery", other, phase="draining", written=time.monotonic() - age)
    [found] = program_snapshots(manifest, [PROGRAM], [state(pid=KEEPER)])
    [result] = check_drainers(running(found))
    assert (result.code, result.level) == ("PM117", level)
    assert (f"process {other}, which drains, wrote its last heartbeat " in result.detail) is (level is Level.WARNING)
    assert ("procman stop --draining catmaid-celery" in result.hint) is (level is Level.WARNING)
    os.kill(other, signal.SIGSTOP)
    eventually(lambda: is_suspended(other), "it is suspended")
    [result] = check_drainers(running(found))
    assert (result.hint == f"kill -CONT {other}") is (level is Level.WARNING)


def test_nothing_is_reported_of_a_worker_beside_which_nothing_drains(manifest: Manifest, child: int) -> None:
    describe(manifest, worker(child, "a", "consuming"), current=child)
    [found] = program_snapshots(manifest, [PROGRAM], [state(pid=KEEPER)])
    assert list(check_drainers(running(found))) == []
