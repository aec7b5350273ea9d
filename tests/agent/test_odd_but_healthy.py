"""Healthy workers with unusual settings, under load: no check may call one of them critical, and none is healed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from procman.agent.verdict import Thresholds, verdict
from procman.model import Level, Result
from procman.monitoring.checks.inputs import Heartbeat, ProgramSnapshot
from procman.monitoring.checks.main_process import check_identity
from procman.monitoring.checks.pool import check_children, check_kill_loop, check_zombies
from procman.monitoring.checks.quick import check_lightly
from tests.agent.conftest import Start
from tests.agent.heartbeats import EVENT_LOOP, SEND_WHEN_READY, Followed, Site
from tests.agent.launching import install_launcher
from tests.celery_environments import CELERY_5_7, environment_of
from tests.monitoring.checks.records import program, running, state

SAMPLES, PAUSE = 40, 0.25
"""Ten seconds: Celery takes up to five to replace a pool process."""

STALE, STALL = 4.0, 8.0
SHORT = {"PROCMAN_STALE_SECONDS": f"{STALE}", "PROCMAN_STALL_SECONDS": f"{STALL}"}

APP = """
@app.task(name="mysite.work")
def work(seconds):
    time.sleep(seconds)
"""

SLOW_START = """
from celery.signals import worker_process_init
app.conf.worker_proc_alive_timeout = 60
worker_process_init.connect(lambda **_: time.sleep(4), weak=False)
"""

LATE = "app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1)\n"

Tasks = list[tuple[str, list[float]]]

QUICK: Tasks = [("mysite.work", [0.1])] * 60
LONG: Tasks = [("mysite.work", [STALL + 2])] * 10

ONE = ("--concurrency=1",)

ODD = {
    "a task per process": (EVENT_LOOP, QUICK, (*ONE, "--max-tasks-per-child=1")),
    "a task per process, without an event loop": ("", QUICK, (*ONE, "--max-tasks-per-child=1")),
    "hardly any memory per process": (EVENT_LOOP, QUICK, (*ONE, "--max-memory-per-child=1")),
    "slow start": (EVENT_LOOP + SLOW_START, QUICK, (*ONE, "--max-tasks-per-child=1")),
    "tasks beyond their time limit": (EVENT_LOOP, LONG, (*ONE, "--time-limit=1")),
    "autoscale, acknowledged late": (EVENT_LOOP + LATE, QUICK + LONG, ("--autoscale=3,1", "-O", "fair")),
    "solo": ("", QUICK + LONG, ("--pool=solo",)),
    "threads": ("", QUICK + LONG, ("--pool=threads", "--concurrency=2")),
}


@pytest.mark.celery
def test_workers_with_unusual_settings_are_never_critical_nor_healed(tmp_path: Path, start: Start) -> None:
    workers = {name: begin(tmp_path / name.replace(" ", "-"), start, *odd) for name, odd in ODD.items()}
    for worker in workers.values():
        worker.wait_for(lambda found: found["phase"] == "consuming", "it consumes")
    found = []
    for _ in range(SAMPLES):
        found += [(name, result) for name, worker in workers.items() for result in sample(worker)]
        time.sleep(PAUSE)
    assert [each for each in found if each[1].level is Level.CRITICAL] == []
    assert {name: worker.events() for name, worker in workers.items()} == {name: [] for name in workers}
    # Otherwise these workers were not what they are here for.
    details = {(name, result.detail) for name, result in found}
    assert ("a task per process", "its pool process is being replaced") in details
    assert any(name == "slow start" and "have been starting" in detail for name, detail in details)


def begin(directory: Path, start: Start, more: str, tasks: Tasks, arguments: tuple[str, ...]) -> Followed:
    """Start a worker in a project of its own, which sends itself `tasks`."""
    environment = environment_of(CELERY_5_7)
    assert environment is not None
    directory.mkdir()
    site = Site(install_launcher(directory, environment.python), start)
    site.app(APP + SEND_WHEN_READY.format(tasks=tasks) + more)
    return site.worker(*arguments, **SHORT)


def sample(worker: Followed) -> list[Result]:
    """Return the results of the checks that judge a worker's processes and heartbeat."""
    assert worker.launched.process.poll() is None, worker.launched.text
    content = worker.heartbeat()
    found = verdict(content, time.monotonic(), Thresholds(STALE, STALL, 600))
    each = ProgramSnapshot(program(pool=content["pool"]), state(pid=worker.pid), Heartbeat(content), found)
    project = running(each)
    checks = (check_identity, check_children, check_kill_loop, check_zombies)
    return [*check_lightly([each]), *(result for check in checks for result in check(project))]
