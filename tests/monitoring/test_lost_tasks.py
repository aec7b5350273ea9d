"""The tasks in the record of a process that has ended are lost; those of a running one are not."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from procman.agent.task_record import BEGUN, RunningTask
from procman.host.process import boot_id, start_ticks
from procman.install.state.event_log import Event, line_of
from procman.install.state.manifest import Manifest
from procman.model import End, InstalledProgram
from procman.monitoring.lost_task import LostTask
from procman.monitoring.lost_tasks import dead_records, losses_of
from procman.monitoring.program_view import now
from procman.monitoring.task_outcome import Fate, Outcome
from tests.agent.task_records import record_of
from tests.monitoring.checks.records import MANIFEST, NAME, program

BEGAN, ENDED = time.time() - 100, time.time() - 50
GONE_PID = 2**22 + 7
"""Above the kernel's greatest pid."""
PROGRAM = program()
TASK = RunningTask("id-a", "shop.crop", 10.0, BEGAN + 1, GONE_PID + 1, progress=BEGUN)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    found = replace(MANIFEST, directories=replace(MANIFEST.directories, state=tmp_path))
    found.directories.run(NAME).mkdir(parents=True)
    return found


def write(
    manifest: Manifest,
    *tasks: RunningTask,
    name: str = "tasks.record",
    pid: int = GONE_PID,
    began: float = BEGAN,
) -> None:
    content = record_of(*tasks, pid=pid, began=began, boot=boot_id(), transport="amqp")
    (manifest.directories.run(NAME) / name).write_bytes(content)


def lost(manifest: Manifest, ends: Sequence[End] = (), of: InstalledProgram = PROGRAM) -> list[LostTask]:
    moment = now()
    found = losses_of(manifest, of, dead_records(manifest, of), ends, moment)
    return [task for loss in found for task in loss.tasks]


def test_task_of_a_process_that_has_ended_is_lost_with_the_cause(manifest: Manifest) -> None:
    write(manifest, TASK)
    [task] = lost(manifest, [End(ENDED, "killed by SIGKILL", GONE_PID, BEGAN, is_forced=True)])
    assert (task.id, task.name, task.started, task.acks_late) == ("id-a", "shop.crop", BEGAN + 1, False)
    assert (task.ended, task.at, task.fate.outcome) == ("forced stop", ENDED, Outcome.GONE)
    [task] = lost(manifest)
    assert (task.ended, task.at) == ("unknown", None)


def test_task_of_a_running_process_is_not_lost(manifest: Manifest) -> None:
    write(manifest, TASK, pid=os.getpid(), began=time.time())
    assert lost(manifest) == []


def test_process_that_sees_another_id_of_the_boot_is_running_all_the_same(manifest: Manifest) -> None:
    """So it is in a container, for a unit with its own /proc."""
    path = manifest.directories.run(NAME) / "tasks.record"
    path.write_bytes(record_of(TASK, pid=os.getpid(), began=time.time(), boot="another", transport="amqp"))
    assert lost(manifest) == []
    path.write_bytes(record_of(TASK, pid=GONE_PID, began=BEGAN, boot="another", transport="amqp"))
    assert [task.ended for task in lost(manifest)] == ["unknown"]


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_task_of_a_running_process_is_not_lost_because_the_clock_was_set(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    ticks, began, clock = start_ticks(os.getpid()) or 0, time.time(), time.time
    path = manifest.directories.run(NAME) / "tasks.record"
    for boot in (boot_id(), "another"):
        path.write_bytes(record_of(TASK, pid=os.getpid(), began=began, boot=boot, ticks=ticks, transport="amqp"))
        monkeypatch.setattr(time, "time", lambda: clock() + seconds)
        assert lost(manifest) == []
        monkeypatch.undo()
        # A later process with the same pid did not run the task, however the clock was set.
        path.write_bytes(record_of(TASK, pid=os.getpid(), began=began, boot=boot, ticks=ticks - 1, transport="amqp"))
        monkeypatch.setattr(time, "time", lambda: clock() + seconds)
        assert len(lost(manifest)) == 1
        monkeypatch.undo()


def test_process_1_of_a_namespace_of_its_own_has_lost_nothing(manifest: Manifest) -> None:
    content = record_of(TASK, pid=1, began=time.time(), ticks=10**9, transport="amqp")
    (manifest.directories.run(NAME) / "tasks.record").write_bytes(content)
    assert lost(manifest) == []


def test_record_that_a_process_left_before_it_executed_itself_again_counts(manifest: Manifest) -> None:
    write(manifest, pid=os.getpid(), began=time.time())
    write(manifest, TASK, name="tasks.record.1", pid=os.getpid())
    assert [task.id for task in lost(manifest)] == ["id-a"]


def test_record_of_an_earlier_boot_is_lost_although_its_pid_is_in_use(manifest: Manifest) -> None:
    before_the_boot = time.time() - time.monotonic() - 100
    content = record_of(TASK, pid=os.getpid(), began=before_the_boot, boot="another", transport="amqp")
    (manifest.directories.run(NAME) / "tasks.record").write_bytes(content)
    [task] = lost(manifest)
    assert (task.ended, task.fate.outcome) == ("reboot", Outcome.MAY_HAVE_FINISHED)


def test_task_whose_pool_process_lives_on_may_have_finished(manifest: Manifest) -> None:
    write(manifest, TASK._replace(pool_pid=os.getpid(), started=time.monotonic()))
    [task] = lost(manifest)
    assert task.fate.outcome is Outcome.MAY_HAVE_FINISHED


def test_task_that_runs_here_again_after_a_handback_is_not_handed_back_twice(manifest: Manifest) -> None:
    write(manifest, TASK._replace(acks_late=True))
    directory = manifest.directories.run(NAME)
    for at, outcome in ((TASK.started_wall - 5, Outcome.REDELIVERED), (TASK.started_wall + 5, Outcome.HANDED_BACK)):
        event = Event(at, NAME, "handed-back", tasks=(TASK.name,), task_ids=(TASK.id,))
        (directory / "events.jsonl").write_text(f"{line_of(event)}\n")
        [task] = lost(manifest)
        assert task.fate == Fate(outcome, "RabbitMQ")


def test_tasks_that_are_only_counted_are_reported(manifest: Manifest) -> None:
    content = record_of(pid=GONE_PID, began=BEGAN, unrecorded=3)
    (manifest.directories.run(NAME) / "tasks.record").write_bytes(content)
    moment = now()
    [loss] = losses_of(manifest, PROGRAM, dead_records(manifest, PROGRAM), [], moment)
    assert (loss.tasks, loss.unrecorded) == ((), 3)


@pytest.mark.parametrize("last", ["handing-back", "not-returned"])
def test_task_whose_return_is_not_confirmed_is_not_handed_back(manifest: Manifest, last: str) -> None:
    write(manifest, TASK._replace(acks_late=True))
    path = manifest.directories.run(NAME) / "events.jsonl"
    for what in dict.fromkeys(("handing-back", last)):
        event = Event(TASK.started_wall + 5, NAME, what, tasks=(TASK.name,), task_ids=(TASK.id,))
        with path.open("a") as file:
            print(line_of(event), file=file)
    [task] = lost(manifest)
    assert task.fate == Fate(Outcome.REDELIVERED, "RabbitMQ")
