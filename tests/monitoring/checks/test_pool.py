"""PM104 to PM106 against real processes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from procman.model import Kind, Level
from procman.monitoring.checks.inputs import ProjectSnapshot
from procman.monitoring.checks.pool import check_children, check_kill_loop, check_zombies
from tests.monitoring.checks.records import family, heartbeat, program, reported, running, snapshot, state


def older(found: ProjectSnapshot, main: int, seconds: float, children: float) -> ProjectSnapshot:
    """Return `found` with a main process and children of these ages."""
    aged = {
        pid: each._replace(age=seconds if pid == main else children) if pid == main or each.parent == main else each
        for pid, each in found.processes.items()
    }
    return replace(found, processes=aged)


@pytest.mark.parametrize(
    ("pool", "level"), [("prefork", Level.CRITICAL), (None, Level.WARNING), ("solo", Level.OK), ("threads", Level.OK)]
)
def test_worker_without_pool_processes_is_unhealthy_unless_its_pool_has_none(pool: str | None, level: Level) -> None:
    with family(0) as pid:
        [result] = check_children(running(snapshot(program=program(pool=pool), state=state(pid=pid))))
    assert result.level is level
    assert (level is Level.OK) == (result.detail == "")


def test_hint_names_the_key_if_the_app_may_have_another_pool() -> None:
    with family(0) as pid:
        [result] = check_children(running(snapshot(state=state(pid=pid))))
    assert "in [worker.celery]" in result.hint


def test_pool_of_the_heartbeat_overrides_the_configured_pool() -> None:
    with family(0) as pid:
        assert reported(check_children(running(snapshot(heartbeat(pool="threads"), state=state(pid=pid))))) == (
            Level.OK,
            "",
        )


@pytest.mark.parametrize("phase", ["importing", "starting", "disconnected", "stopping"])
def test_worker_that_does_not_consume_yet_needs_no_pool_processes(phase: str) -> None:
    with family(0) as pid:
        [result] = check_children(running(snapshot(heartbeat(phase=phase), state=state(pid=pid))))
    assert result.level is Level.OK


def test_missing_pool_processes_are_a_warning_unless_one_is_being_replaced() -> None:
    with family(2) as pid:
        found = running(snapshot(heartbeat(slots=4), state=state(pid=pid)))
        assert reported(check_children(found)) == (Level.OK, "2 of its 4 pool processes are running")
        aged = older(found, pid, 600, 300)
        assert reported(check_children(aged)) == (Level.WARNING, "2 of its 4 pool processes are running")
        [one, *_] = [each for each in aged.processes.values() if each.parent == pid]
        replaced = replace(aged, processes={**aged.processes, one.pid: one._replace(age=1)})
        assert reported(check_children(replaced)) == (Level.OK, "2 of its 4 pool processes are running")


def test_full_pool_is_ok() -> None:
    with family(2) as pid:
        assert reported(check_children(running(snapshot(heartbeat(), state=state(pid=pid))))) == (Level.OK, "")


def test_beats_and_commands_have_no_pool() -> None:
    others = [snapshot(program=program(kind)) for kind in (Kind.BEAT, Kind.COMMAND)]
    assert list(check_children(running(*others))) == []


def test_pool_processes_that_never_live_long_are_a_kill_loop() -> None:
    with family(2) as pid:
        found = running(snapshot(heartbeat(finished=0), state=state(pid=pid)))
        level, detail = reported(check_kill_loop(older(found, pid, 600, 4)))
    assert level is Level.CRITICAL
    assert detail.startswith("none of its pool processes is older than 10 s, although it has run for 10 min")


@pytest.mark.parametrize(
    ("main", "children", "says"),
    [
        (600, 300, {"finished": 0}),  # old enough
        (30, 4, {"finished": 0}),  # has just started
        (600, 4, {"finished": 7}),  # max_tasks_per_child
        (600, 4, {"finished": 0, "busy": 1}),
    ],
)
def test_other_young_pool_processes_are_no_kill_loop(main: float, children: float, says: dict[str, Any]) -> None:
    with family(2) as pid:
        found = running(snapshot(heartbeat(**says), state=state(pid=pid)))
        assert reported(check_kill_loop(older(found, pid, main, children))) == (Level.OK, "")


def test_kill_loop_is_not_reported_without_a_heartbeat() -> None:
    with family(2) as pid:
        assert reported(check_kill_loop(older(running(snapshot(state=state(pid=pid))), pid, 600, 4))) == (Level.OK, "")


ENDING = """
import os
for _ in range({count}):
    if os.fork() == 0:
        os._exit(0)
import time
while sum(open(f"/proc/{{child}}/stat").read().rpartition(")")[2].split()[0] == "Z"
          for child in open(f"/proc/self/task/{{os.getpid()}}/children").read().split()) < {count}:
    time.sleep(0.01)
"""


@pytest.mark.parametrize(("count", "level"), [(0, Level.OK), (3, Level.OK), (6, Level.WARNING)])
def test_zombies_are_counted(count: int, level: Level) -> None:
    with family(0, code=ENDING.format(count=count)) as pid:
        [result] = check_zombies(running(snapshot(state=state(pid=pid))))
    assert (result.level, result.values["zombies"]) == (level, count)
