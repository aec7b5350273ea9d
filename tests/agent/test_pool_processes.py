"""A pool whose processes are starting or being replaced is not stuck: real pools, and the rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.agent.pool_processes import PoolProcesses, usable_slots
from procman.agent.settings import HealthSettings
from procman.agent.worker_state import Measured, WorkerState
from tests.agent.conftest import Start
from tests.agent.heartbeats import EVENT_LOOP, SEND_WHEN_READY, Site
from tests.agent.launching import install_launcher
from tests.celery_environments import CeleryEnvironment
from tests.tables import for_each

START = 3
"""Longer than the stall limit and any healing here."""

SLOW = f"""
from celery.signals import worker_process_init
app.conf.worker_proc_alive_timeout = 60
worker_process_init.connect(lambda **_: time.sleep({START}), weak=False)
"""


@pytest.mark.celery
def test_worker_whose_pool_processes_start_slowly_is_starting_and_not_stuck(
    tmp_path: Path, celery_environment: CeleryEnvironment, start: Start
) -> None:
    site = Site(install_launcher(tmp_path, celery_environment.python), start)
    site.app(EVENT_LOOP + SLOW + SEND_WHEN_READY.format(tasks=[("mysite.touch", [])]))
    worker = site.worker("--concurrency=1")
    found = worker.wait_for(lambda found: found["pool_starting"] and found["reserved"], "a message waits")
    assert found["pool_processes"] == 1
    assert found["verdict"]["reason"].startswith("its pool processes have been starting for ")
    found = worker.wait_for(lambda found: found["finished"], "the task is done")
    assert (found["pool_processes"], found["pool_starting"], found["pool_unready_since"]) == (1, 0, None)
    assert worker.events() == []


REPLACING = PoolProcesses(alive=0, starting=0, start_seconds=14)
STARTING = PoolProcesses(alive=2, starting=2, start_seconds=14)


@for_each(
    ("pool", "since", "slots"),
    [
        (None, None, 2),  # threads
        (PoolProcesses(alive=2), None, 2),  # without an event loop
        (PoolProcesses(alive=2, starting=0, start_seconds=14), None, 2),
        (PoolProcesses(alive=2, starting=1, start_seconds=14), None, 1),
        (PoolProcesses(alive=1, starting=0, start_seconds=14), None, 1),
        (STARTING, 14, 0),
        (STARTING, 15, 2),
        (REPLACING, 14, 0),
        (REPLACING, 15, 2),
        (PoolProcesses(alive=0), 1, 2),
    ],
)
def test_slot_is_usable_if_its_process_is_ready_or_has_been_starting_for_too_long(
    pool: PoolProcesses | None, since: float | None, slots: int
) -> None:
    assert usable_slots(pool, 2, None if since is None else 100 - since, now=100) == slots


def state_that_consumes() -> WorkerState:
    state = WorkerState(HealthSettings("demo-celery", "worker", "."))
    state.enter("consuming")
    return state


def measured(pool: PoolProcesses, busy: int = 0, finished: int = 0) -> Measured:
    return Measured(slots=2, busy=busy, reserved=3, finished=finished, pool=pool)


def test_progress_is_missed_only_once_the_start_has_taken_too_long() -> None:
    state = state_that_consumes()
    for now in (0.0, 5.0, 14.0, 15.0, 400.0):
        state.follow(now, measured(STARTING))
    assert (state.unready_since, state.progress) == (0, 14)


def test_processes_that_end_in_turn_without_a_task_are_not_ready_all_the_time() -> None:
    state = state_that_consumes()
    for now, pool in enumerate((STARTING, REPLACING, STARTING, REPLACING)):
        state.follow(now, measured(pool))
    assert state.unready_since == 0


@pytest.mark.parametrize("more", [{"busy": 1}, {"finished": 1}])
def test_task_that_runs_or_has_finished_shows_that_a_process_was_ready(more: dict[str, int]) -> None:
    state = state_that_consumes()
    state.follow(1, measured(STARTING))
    state.follow(2, measured(STARTING, **more))
    assert state.unready_since is None


def test_processes_are_not_missed_while_the_worker_is_disconnected() -> None:
    """Celery replaces them once it has connected again."""
    state = state_that_consumes()
    state.follow(1, measured(REPLACING))
    state.enter("disconnected")
    state.follow(50, measured(REPLACING))
    assert state.unready_since is None
