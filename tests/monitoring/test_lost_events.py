"""Each task that the end of a main process interrupted is an event once, in this boot or the next."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from procman.agent.task_record import BEGUN, RunningTask
from procman.host.process import boot_id
from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import Event, append_event
from procman.install.state.manifest import Manifest
from procman.model import End, RunHistory
from procman.monitoring import lost_events
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.heal_policy import Observation, decide
from procman.monitoring.healing_history import Case
from procman.monitoring.lost_events import new_lost_events, unlogged_lost_events
from procman.monitoring.program_view import Moment, now
from tests.agent.task_records import record_of
from tests.monitoring.checks.records import MANIFEST, NAME, program, state

BEGAN, ENDED = time.time() - 100, time.time() - 50
GONE_PID = 2**22 + 7
"""Above the kernel's greatest pid."""
KILLED = End(ENDED, "killed by SIGKILL", GONE_PID, BEGAN)
PROGRAM = program()


class Controller:
    """Knows how processes ended."""

    ends: tuple[End, ...] = (KILLED,)

    def histories(self, programs: object, since: float) -> dict[str, RunHistory]:
        return {NAME: RunHistory(ends=tuple(end for end in self.ends if end.at >= since))}


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Controller:
    found = Controller()
    monkeypatch.setattr(lost_events, "controller_of", lambda _: found)
    return found


@pytest.fixture
def manifest(tmp_path: Path, controller: Controller) -> Manifest:
    found = replace(MANIFEST, directories=replace(MANIFEST.directories, state=tmp_path))
    found.directories.run(NAME).mkdir(parents=True)
    return found


def write(manifest: Manifest, *ids: str, started: float = BEGAN + 1, boot: str | None = None) -> None:
    tasks = [RunningTask(each, "shop.crop", 10.0, started, GONE_PID + 1, progress=BEGUN) for each in ids]
    content = record_of(*tasks, pid=GONE_PID, began=started - 1, boot=boot or boot_id(), transport="amqp")
    (manifest.directories.run(NAME) / "tasks.record").write_bytes(content)


def found(manifest: Manifest, moment: Moment | None = None) -> tuple[Event, ...]:
    snapshots = [ProgramSnapshot(PROGRAM, state())]
    return new_lost_events(manifest, snapshots, moment or now()).get(NAME, ())


def log(manifest: Manifest, *events: Event) -> None:
    with Tree() as tree:
        for event in events:
            append_event(tree, manifest.directories.state, event)


def test_each_task_of_a_killed_main_process_is_an_event_once(manifest: Manifest) -> None:
    write(manifest, "id-a", "id-b")
    events = found(manifest)
    assert [(each.at, each.what, each.task_ids, each.tasks, each.action) for each in events] == [
        (ENDED, "lost", ("id-a",), ("shop.crop",), "gone"),
        (ENDED, "lost", ("id-b",), ("shop.crop",), "gone"),
    ]
    assert events[0].reason == "killed by SIGKILL (cause unknown)"
    observation = Observation(PROGRAM, state(), "1", (), lost=events)
    decided = decide(Case(NAME), observation, manifest.health, time.monotonic(), time.time())
    assert decided.events == events
    log(manifest, *decided.events)
    assert found(manifest) == ()


def test_task_that_is_lost_again_is_an_event_again(manifest: Manifest, controller: Controller) -> None:
    write(manifest, "id-a")
    log(manifest, *found(manifest))
    write(manifest, "id-a", started=ENDED + 1.5)
    controller.ends = (KILLED, KILLED._replace(at=ENDED + 20, started=ENDED + 0.5))
    assert [each.at for each in found(manifest)] == [ENDED + 20]


def test_old_ends_and_those_of_an_unknown_time_are_no_events(manifest: Manifest, controller: Controller) -> None:
    write(manifest, "id-a")
    later = now()._replace(wall=ENDED + 3601)
    assert found(manifest, later) == ()
    controller.ends = ()
    assert found(manifest) == ()


def test_tasks_that_a_reboot_interrupted_are_events_once_with_the_time_of_the_boot(
    manifest: Manifest, controller: Controller
) -> None:
    write(manifest, "id-a", boot="another")
    controller.ends = ()
    booted = now()._replace(monotonic=30.0)
    [event] = found(manifest, booted)
    assert (event.reason, event.at) == ("reboot", booted.wall - 30.0)
    log(manifest, event)
    assert found(manifest, booted._replace(monotonic=35.0)) == ()


def test_events_without_a_watcher_are_those_of_a_day_that_are_not_logged(
    manifest: Manifest, controller: Controller
) -> None:
    write(manifest, "id-a")
    [event] = unlogged_lost_events(manifest, [PROGRAM], [])
    assert unlogged_lost_events(manifest, [PROGRAM], [event]) == []
