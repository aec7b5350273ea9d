"""Ends become reports with their tasks, and events once; those that healing caused become neither."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from procman.agent.task_record import RunningTask
from procman.host.process import boot_id, start_ticks
from procman.install.state.event_log import Event
from procman.install.state.manifest import Manifest
from procman.model import End, Kind
from procman.monitoring.ends import events_of, is_of, last_unexpected, reports_of
from tests.agent.task_records import record_of
from tests.monitoring.checks.records import MANIFEST, NAME, program

BEGAN, ENDED = time.time() - 100, time.time() - 50
KILLED = End(ENDED, "killed by SIGKILL", 7, BEGAN)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    found = replace(MANIFEST, directories=replace(MANIFEST.directories, state=tmp_path))
    found.directories.run(NAME).mkdir(parents=True)
    return found


def record(manifest: Manifest, file: str, pid: int, started: float, *names: str) -> None:
    """Write the record of a process with running tasks."""
    running = [RunningTask(f"id-{name}", name, 1.0, started) for name in names]
    (manifest.directories.run(NAME) / file).write_bytes(record_of(*running, pid=pid, began=started))


def tasks(manifest: Manifest, end: End, kind: Kind = Kind.WORKER) -> list[str]:
    [report] = reports_of(manifest, replace(program(), kind=kind), [end])
    return [task.name for task in report.tasks]


def test_tasks_are_those_of_the_process_that_ended(manifest: Manifest) -> None:
    record(manifest, "tasks.record", 8, ENDED + 1, "now")
    record(manifest, "tasks.record.1", 7, BEGAN + 0.2, "lost")
    record(manifest, "tasks.record.2", 7, BEGAN - 5000, "earlier")
    assert tasks(manifest, KILLED) == ["lost"]
    # systemd's journal does not have the process id.
    assert tasks(manifest, KILLED._replace(pid=None)) == ["lost"]
    assert tasks(manifest, KILLED._replace(pid=9)) == []
    assert tasks(manifest, KILLED, Kind.BEAT) == []


def test_tasks_in_a_slot_that_the_worker_no_longer_has_are_its_own(manifest: Manifest) -> None:
    manifest.directories.run(f"{NAME}-b").mkdir()
    record(manifest, f"../{NAME}-b/tasks.record", 7, BEGAN, "cut by an install")
    assert tasks(manifest, KILLED) == ["cut by an install"]
    assert tasks(replace(manifest, programs=(program(), program(name=f"{NAME}-b"))), KILLED) == []


def test_tasks_of_a_keepers_end_are_those_of_all_processes_that_had_not_ended_before(manifest: Manifest) -> None:
    record(manifest, "tasks.record", 8, BEGAN + 2, "draining")
    record(manifest, "tasks.record.1", 7, BEGAN + 1, "lost before")
    noted = {"pid": 7, "started": BEGAN + 1, "at": ENDED - 9, "how": "killed by SIGKILL", "keeper": 5}
    (manifest.directories.run(NAME) / "keeper.json").write_text(json.dumps({"ends": [noted]}))
    end = KILLED._replace(pid=5, of_keeper=True)
    [report] = reports_of(manifest, program(overlap_max=2), [end])
    assert ([task.name for task in report.tasks], report.total) == (["draining"], 1)


def test_tasks_of_a_process_that_outlives_its_keeper_have_not_ended_with_that(manifest: Manifest) -> None:
    pid, running = os.getpid(), RunningTask("id", "outlives", 1.0, BEGAN)
    file, end = manifest.directories.run(NAME) / "tasks.record", KILLED._replace(pid=5, of_keeper=True)
    file.write_bytes(record_of(running, pid=pid, began=BEGAN, ticks=start_ticks(pid) or 0))
    assert tasks(manifest, end) == []
    file.write_bytes(record_of(running, pid=pid, began=BEGAN, ticks=1))
    assert tasks(manifest, end) == ["outlives"], "its pid has been reused"


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (KILLED, "killed by SIGKILL (cause unknown)"),
        (KILLED._replace(by_kernel=True), "killed by SIGKILL (the kernel killed it for lack of memory)"),
        (KILLED._replace(how="killed by SIGSEGV"), "killed by SIGSEGV"),
        (KILLED._replace(how="exit status 1"), "exit status 1"),
    ],
)
def test_only_a_kill_has_a_cause(manifest: Manifest, end: End, reason: str) -> None:
    [report] = reports_of(manifest, program(), [end])
    assert report.reason == reason


def events(manifest: Manifest, ends: Sequence[End], *healed: float) -> list[Event]:
    return list(events_of(manifest, program(), ends, healed))


def test_end_is_an_event_with_names_and_ids_of_its_tasks(manifest: Manifest) -> None:
    record(manifest, "tasks.record.1", 7, BEGAN, "lost")
    [event] = events(manifest, [KILLED])
    assert (event.at, event.what, event.code, event.tasks, event.task_ids) == (
        ENDED,
        "ended",
        "PM111",
        ("lost",),
        ("id-lost",),
    )
    [forced] = events(manifest, [KILLED._replace(is_forced=True)])
    assert forced.code == ""


def test_crash_loop_and_healing_have_no_such_events(manifest: Manifest) -> None:
    assert events(manifest, [KILLED, KILLED._replace(is_repeated=True)]) == events(manifest, [KILLED])
    assert events(manifest, [KILLED], ENDED - 10) == []
    assert events(manifest, [KILLED], ENDED - 600) == []
    assert events(manifest, [KILLED], ENDED - 700) != []
    assert events(manifest, [KILLED], ENDED + 10) != []


def test_last_end_is_reported_unless_the_program_healed_itself(manifest: Manifest) -> None:
    earlier = KILLED._replace(at=ENDED - 20, how="exit status 1")
    report = last_unexpected(manifest, program(), [earlier, KILLED])
    assert report is not None
    assert report.end == KILLED
    at = time.monotonic() - (time.time() - ENDED) - 1
    (manifest.directories.run(NAME) / "healed.json").write_text(
        f'{{"format": 1, "restarts": [{{"boot_id": "{boot_id()}", "at": {at}}}]}}'
    )
    report = last_unexpected(manifest, program(), [earlier, KILLED])
    assert report is not None
    assert report.end == earlier


@pytest.mark.parametrize(
    ("ended", "started", "expected"),
    [
        pytest.param(150.0, 100.4, True, id="it began when the process did"),
        pytest.param(150.0, 97.0, False, id="it began before"),
        pytest.param(150.0, 151.0, False, id="it began after the end"),
        pytest.param(40.0, 100.4, True, id="the clock was set back while it ran"),
        pytest.param(40.0, 500.0, False, id="so it was, and this one began later"),
    ],
)
def test_end_is_that_of_the_process_with_its_pid_and_start(ended: float, started: float, expected: bool) -> None:
    end = End(ended, "killed by SIGKILL", 7, 100.0)
    assert is_of(end, 7, started) is expected
    assert not is_of(end, 8, started)
