"""The tasks that a worker left when it ended, from its events and its record: only those of this end."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from procman.agent.task_record import BEGUN, RunningTask
from procman.deploy.unfinished import UnfinishedTasks
from procman.host.process import boot_id, start_ticks
from procman.install.state.event_log import Event, line_of
from procman.install.state.manifest import Manifest
from procman.model import Kind
from tests.agent.task_records import record_of
from tests.monitoring.checks.records import MANIFEST, NAME, program

PROGRAM = program()
GONE_PID = 2**22 + 7
"""Above the kernel's greatest pid."""
BEGAN = time.time() - 100
EARLY = RunningTask("id-early", "shop.crop", 10.0, BEGAN + 1, GONE_PID + 1, progress=BEGUN)
LATE = EARLY._replace(id="id-late", name="shop.mail", acks_late=True)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    found = replace(MANIFEST, directories=replace(MANIFEST.directories, state=tmp_path))
    found.directories.run(NAME).mkdir(parents=True)
    return found


def record(manifest: Manifest, tasks: Sequence[RunningTask], pid: int = GONE_PID, name: str = "tasks.record") -> None:
    ticks = start_ticks(pid) or 1
    content = record_of(*tasks, pid=pid, began=BEGAN, boot=boot_id(), ticks=ticks, transport="redis", visibility=3600)
    (manifest.directories.run(NAME) / name).write_bytes(content)


def hand_back(manifest: Manifest, *tasks: RunningTask, at: float) -> None:
    event = Event(at, NAME, "handed-back", tasks=tuple(t.name for t in tasks), task_ids=tuple(t.id for t in tasks))
    with (manifest.directories.run(NAME) / "events.jsonl").open("a") as file:
        print(line_of(event), file=file)


def left(manifest: Manifest, before: UnfinishedTasks) -> list[tuple[str, str, str]]:
    return sorted((task.id, task.name, task.fate.outcome.value) for task in before.of(PROGRAM))


def test_killed_and_returned_tasks_are_found_once(manifest: Manifest) -> None:
    record(manifest, [EARLY, LATE], pid=os.getpid())
    before = UnfinishedTasks(manifest, [PROGRAM])
    # A pool of threads leaves what it returned in its record.
    hand_back(manifest, LATE, at=time.time())
    record(manifest, [EARLY, LATE])
    assert left(manifest, before) == [("id-early", "shop.crop", "gone"), ("id-late", "shop.mail", "handed back")]
    # A restarted worker has begun its own record.
    record(manifest, [EARLY, LATE], name="tasks.record.1")
    record(manifest, [], pid=os.getpid())
    assert len(left(manifest, before)) == 2


def test_task_that_was_returned_alone_is_found_by_its_event(manifest: Manifest) -> None:
    before = UnfinishedTasks(manifest, [PROGRAM])
    # The clock was set back meanwhile.
    hand_back(manifest, LATE, at=time.time() - 7200)
    record(manifest, [])
    assert left(manifest, before) == [("id-late", "shop.mail", "handed back")]


def test_tasks_of_an_earlier_end_are_left_out(manifest: Manifest) -> None:
    hand_back(manifest, LATE, at=time.time())
    record(manifest, [EARLY])
    before = UnfinishedTasks(manifest, [PROGRAM])
    assert left(manifest, before) == []


def test_beat_has_none(manifest: Manifest) -> None:
    beat = program(kind=Kind.BEAT)
    assert UnfinishedTasks(manifest, [beat]).of(beat) == ()
