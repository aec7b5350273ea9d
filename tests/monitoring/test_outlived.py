"""The processes that have outlived their keeper: by the locks of their slots, and not if a process manager has them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from procman.agent import slots
from procman.backends.base import Controller
from procman.deploy.end_outlived import EndOfOutlived
from procman.install.state.manifest import Manifest
from procman.model import State
from procman.monitoring.draining import OUTLIVED, described, draining_by_program
from procman.monitoring.kept import as_kept
from procman.monitoring.outlived import outlived_by
from tests.monitoring.checks.records import program, state
from tests.monitoring.test_pidfd_signal import Reporting
from tests.product import eventually

PROGRAM = program(name="catmaid-celery", overlap_max=2, stop_timeout_seconds=1)

HOLDER = """
import fcntl, os, signal, subprocess, sys, time
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.lockf(lock, fcntl.LOCK_EX)
child = subprocess.Popen(["/bin/sleep", "600"])
stops = []
signal.signal(signal.SIGTERM, lambda *_: stops.append(1))
print(os.getpid(), child.pid, flush=True)
while not (stops and os.path.exists(sys.argv[2])):
    time.sleep(0.02)
child.kill()
open(sys.argv[1] + "-ended", "w")
"""
"""Holds a lock and has a child; ends at SIGTERM, but only if a file exists."""

KEEPER = """
import fcntl, os, subprocess, sys
if os.fork():
    sys.exit()
is_keeper = sys.argv[1].endswith("keeper.py")
if is_keeper:
    lock = os.open(os.path.join(os.path.dirname(sys.argv[3]), "keeper.lock"), os.O_RDWR | os.O_CREAT)
    fcntl.lockf(lock, fcntl.LOCK_EX)
process = subprocess.Popen([sys.executable, "-c", *sys.argv[2:]])
if is_keeper:
    process.wait()
"""
"""Starts the process in the words behind the first, which is its own name; a keeper lives on without a parent."""


@dataclass
class Holder:
    """A process that holds the lock of a slot."""

    pid: int
    child: int
    ends: Path


@pytest.fixture
def start(manifest: Manifest) -> Iterator[Callable[..., Holder]]:
    pids: list[int] = []

    def start(slot: str, starter: str = "shell") -> Holder:
        directory = Path(slots.directory_of(str(manifest.directories.run(PROGRAM.name)), slot))
        directory.mkdir(exist_ok=True)
        ends = directory / slots.STOP
        words = [sys.executable, "-c", KEEPER, starter, HOLDER, str(directory / "lock"), str(ends)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
            assert process.stdout
            pid, child = map(int, process.stdout.readline().split())
            process.wait()
        pids.extend((pid, child))
        return Holder(pid, child, ends)

    yield start
    for pid in pids:
        with suppress(ProcessLookupError):
            os.killpg(os.getpgid(pid), signal.SIGKILL)


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def has_ended_by_itself(holder: Holder) -> bool:
    return holder.ends.with_name("lock-ended").exists()


def is_orphan(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] == "1"


def found(manifest: Manifest, keeper: int | None) -> list[tuple[str, int, str]]:
    return [(each.slot, each.pid, each.state) for each in outlived_by(manifest, PROGRAM, keeper)]


def controller(pid: int | None, kind: State = State.RUNNING) -> Controller:
    return cast("Controller", Reporting(state(kind, pid)._replace(name=PROGRAM.name)))


def test_orphan_that_holds_the_lock_of_a_slot_has_outlived_its_keeper(
    manifest: Manifest, start: Callable[..., Holder]
) -> None:
    holder = start("b")
    eventually(lambda: is_orphan(holder.pid), "its parent has ended")
    assert found(manifest, None) == [("b", holder.pid, OUTLIVED)]
    assert found(manifest, os.getpid()) == [("b", holder.pid, OUTLIVED)]
    assert found(manifest, holder.pid) == [], "it is the main process"
    assert outlived_by(manifest, program(name=PROGRAM.name), None) == ()


def test_child_of_a_keeper_whose_process_manager_has_died_counts_too(
    manifest: Manifest, start: Callable[..., Holder]
) -> None:
    holder = start("a", str(manifest.directories.library / "keeper.py"))
    keeper = int(Path(f"/proc/{holder.pid}/stat").read_text().rpartition(")")[2].split()[1])
    eventually(lambda: is_orphan(keeper), "the parent of the keeper has ended")
    assert found(manifest, None) == [("a", holder.pid, OUTLIVED)]
    assert found(manifest, keeper) == []


def test_process_with_a_living_parent_has_not_outlived_anything(manifest: Manifest) -> None:
    run = manifest.directories.run(PROGRAM.name)
    words = [sys.executable, "-c", HOLDER, str(run / "lock"), str(run / slots.STOP)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout
        child = int(process.stdout.readline().split()[1])
        outlived = found(manifest, None)
        process.kill()
        os.kill(child, signal.SIGKILL)
    assert outlived == [], "such as that of procman run"


def test_status_lists_it_unless_the_process_manager_does_not_answer(
    manifest: Manifest, start: Callable[..., Holder]
) -> None:
    holder = start("b")
    eventually(lambda: is_orphan(holder.pid), "its parent has ended")
    assert [each.pid for each in as_kept(manifest, PROGRAM, state(pid=os.getpid())).draining] == [holder.pid]
    assert as_kept(manifest, PROGRAM, state(State.UNKNOWN)).draining == ()
    [(_, seen)] = draining_by_program(manifest, controller(None, State.STOPPED), [PROGRAM])
    assert described(seen).startswith(f"process {holder.pid} has outlived its keeper, and has been draining for ")


def test_stop_sets_it_a_limit_by_a_file_and_removes_that(manifest: Manifest, start: Callable[..., Holder]) -> None:
    holder = start("b")
    eventually(lambda: is_orphan(holder.pid), "its parent has ended")
    patient = replace(PROGRAM, stop_timeout_seconds=60)
    end = EndOfOutlived(manifest, controller(None, State.STOPPED), [patient])
    assert end.count == 1
    end.wait(lambda _: None)
    assert has_ended(holder.pid)
    assert has_ended_by_itself(holder)
    assert not holder.ends.exists()


def test_stop_kills_it_with_its_pool_at_the_stop_timeout(manifest: Manifest, start: Callable[..., Holder]) -> None:
    holder = start("b")
    eventually(lambda: is_orphan(holder.pid), "its parent has ended")
    os.kill(holder.pid, signal.SIGSTOP)
    EndOfOutlived(manifest, controller(None, State.STOPPED), [PROGRAM]).wait(lambda _: None)
    eventually(lambda: has_ended(holder.pid) and has_ended(holder.child), "both have been killed")


def test_stop_touches_nothing_while_the_process_manager_does_not_answer(
    manifest: Manifest, start: Callable[..., Holder]
) -> None:
    holder = start("b")
    eventually(lambda: is_orphan(holder.pid), "its parent has ended")
    assert EndOfOutlived(manifest, controller(None, State.UNKNOWN), [PROGRAM]).count == 0
    assert not holder.ends.exists()


def test_stop_ends_one_in_a_slot_that_an_install_has_taken_from_the_worker(
    manifest: Manifest, start: Callable[..., Holder]
) -> None:
    holder = start("b")
    eventually(lambda: is_orphan(holder.pid), "its parent has ended")
    plain = replace(PROGRAM, overlap_max=0, stop_timeout_seconds=60)
    end = EndOfOutlived(manifest, controller(None, State.STOPPED), [plain])
    assert end.count == 1
    end.wait(lambda _: None)
    assert has_ended_by_itself(holder)


def test_stop_lets_a_frozen_keeper_end_that_has_lost_its_process_manager(
    manifest: Manifest, start: Callable[..., Holder]
) -> None:
    holder = start("a", str(manifest.directories.library / "keeper.py"))
    keeper = int(Path(f"/proc/{holder.pid}/stat").read_text().rpartition(")")[2].split()[1])
    eventually(lambda: is_orphan(keeper), "the parent of the keeper has ended")
    os.kill(keeper, signal.SIGSTOP)
    patient = replace(PROGRAM, stop_timeout_seconds=60)
    EndOfOutlived(manifest, controller(None, State.STOPPED), [patient]).wait(lambda _: None)
    assert has_ended(keeper)
    assert has_ended_by_itself(holder)


def test_stop_passes_over_one_that_ends_just_then(
    manifest: Manifest, start: Callable[..., Holder], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = start("b")
    eventually(lambda: is_orphan(holder.pid), "its parent has ended")
    monkeypatch.setattr("procman.deploy.end_outlived.identity", lambda _: "")
    assert EndOfOutlived(manifest, controller(None, State.STOPPED), [PROGRAM]).count == 0


def test_stop_passes_over_a_program_that_is_started_just_then(
    manifest: Manifest, start: Callable[..., Holder], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = start("a", str(manifest.directories.library / "keeper.py"))
    keeper = int(Path(f"/proc/{holder.pid}/stat").read_text().rpartition(")")[2].split()[1])
    eventually(lambda: is_orphan(keeper), "the parent of the keeper has ended, as if systemd had started it")
    answers = [state(State.STOPPED), state(State.RUNNING, keeper)]
    manager = controller(None)
    monkeypatch.setattr(manager, "states", lambda _: [answers.pop(0)])
    end = EndOfOutlived(manifest, manager, [PROGRAM])
    end.wait(lambda _: None)
    assert (end.count, answers, holder.ends.exists(), has_ended(keeper)) == (0, [], False, False)
