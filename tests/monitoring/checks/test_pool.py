"""PM104 to PM106 against real processes."""

from __future__ import annotations

import time
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
        ended = replace(aged, processes={**aged.processes, one.pid: one._replace(is_zombie=True)})
        assert reported(check_children(ended)) == (Level.OK, "1 of its 4 pool processes is running")


def test_full_pool_is_ok() -> None:
    with family(2) as pid:
        assert reported(check_children(running(snapshot(heartbeat(), state=state(pid=pid))))) == (Level.OK, "")


def test_beats_and_commands_have_no_pool() -> None:
    others = [snapshot(program=program(kind)) for kind in (Kind.BEAT, Kind.COMMAND)]
    assert list(check_children(running(*others))) == []


@pytest.mark.parametrize("written", ["replaced", "replacing"])
@pytest.mark.parametrize("zombies", [False, True])
def test_worker_without_pool_processes_is_healthy_while_celery_replaces_them(written: str, zombies: bool) -> None:
    """The heartbeat may be older than the end of the pool process."""
    now = time.monotonic()
    since = None if written == "replaced" else now - 10
    with family(0, code=ENDING.format(count=int(zombies))) as pid:
        found = heartbeat(pool_processes=1, pool_starting=0, pool_unready_since=since)
        replacing = (Level.OK, "its pool process is being replaced")
        assert reported(check_children(running(snapshot(found, state=state(pid=pid))))) == replacing


def test_worker_whose_pool_processes_are_not_replaced_is_critical() -> None:
    with family(0) as pid:
        found = heartbeat(pool_processes=0, pool_starting=0, pool_unready_since=time.monotonic() - 45)
        [result] = check_children(running(snapshot(found, state=state(pid=pid))))
    assert result.level is Level.CRITICAL
    assert result.detail == "it has no pool process, and none was ready in the last 45s"


def test_pool_processes_are_not_replaced_while_the_event_loop_hangs_so_that_their_absence_is_no_alarm() -> None:
    """Another check reports the loop, and asks whether the broker is the cause."""
    now = time.monotonic()
    with family(0) as pid:
        found = heartbeat(pool_processes=0, pool_starting=0, pool_unready_since=now - 45, loop=now - 40)
        assert reported(check_children(running(snapshot(found, state=state(pid=pid)))))[0] is Level.OK


@pytest.mark.parametrize(
    ("zombies", "age", "level"), [(1, 600, Level.OK), (0, 5, Level.WARNING), (0, 600, Level.CRITICAL)]
)
def test_without_a_heartbeat_a_zombie_or_a_new_worker_is_no_alarm(zombies: int, age: float, level: Level) -> None:
    with family(0, code=ENDING.format(count=zombies)) as pid:
        found = snapshot(program=program(pool="prefork"), state=state(pid=pid, since=time.time() - age))
        assert reported(check_children(running(found)))[0] is level


def test_heartbeat_of_an_older_agent_does_not_prove_that_a_worker_has_lost_its_pool() -> None:
    with family(0) as pid:
        assert reported(check_children(running(snapshot(heartbeat(), state=state(pid=pid)))))[0] is Level.WARNING


def kill_loop(found: ProjectSnapshot, main: int, children: float = 4) -> tuple[Level, str]:
    return reported(check_kill_loop(older(found, main, 600, children)))


def test_pool_processes_that_never_live_long_are_a_kill_loop() -> None:
    with family(2) as pid:
        level, detail = kill_loop(running(snapshot(heartbeat(finished=0), state=state(pid=pid))), pid)
    assert level is Level.CRITICAL
    assert detail == (
        "none of its pool processes is older than 10 s, and none has run a task for 9m50s: "
        "each exits or is killed as it starts"
    )


def test_pool_processes_that_never_become_ready_are_a_kill_loop_even_if_the_worker_has_worked_before() -> None:
    found = heartbeat(pool_processes=2, pool_starting=2, pool_start_seconds=40, pool_unready_since=0)
    found["pool_unready_since"] = found["written"] - 70
    with family(2) as pid:
        snapped = running(snapshot(found, state=state(pid=pid)))
        assert kill_loop(snapped, pid)[0] is Level.CRITICAL
        assert kill_loop(snapped, pid, children=39)[1].startswith("none of its pool processes is older than 40 s")
        assert kill_loop(snapped, pid, children=41) == (Level.OK, "")


@pytest.mark.parametrize(
    ("children", "says"),
    [
        (300, {"finished": 0}),  # old enough
        (4, {"finished": 7}),  # max_tasks_per_child
        (4, {"finished": 0, "busy": 1}),
        (4, {"finished": 0, "phase": "disconnected"}),
        (4, {"finished": 0, "pool_processes": 2, "pool_starting": 0}),
    ],
)
def test_other_young_pool_processes_are_no_kill_loop(children: float, says: dict[str, Any]) -> None:
    with family(2) as pid:
        assert kill_loop(running(snapshot(heartbeat(**says), state=state(pid=pid))), pid, children) == (Level.OK, "")


def test_worker_that_has_waited_for_its_broker_for_minutes_has_new_pool_processes() -> None:
    now = time.monotonic()
    with family(2) as pid:
        found = snapshot(heartbeat(finished=0, started=now - 600, phase_since=now - 5), state=state(pid=pid))
        assert kill_loop(running(found), pid) == (Level.OK, "")


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
