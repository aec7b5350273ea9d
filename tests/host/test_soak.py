"""Busy work and broker restarts for SOAK_MINUTES: any restart by procman is a false alarm (make soak)."""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

import pytest

from .catmaid import DATA, PROJECTS, VIRTUALENV, Project, counted, send
from .machine import Host

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]

MINUTES = float(os.environ.get("SOAK_MINUTES", "60"))

STALL = 20

TOML = f"""
[project]
name = "soaked"
app = "mysite"
directory = "{PROJECTS}"
virtualenv = "{VIRTUALENV}"
settings = "exercise.settings"
user = "www-data"
backend = "systemd"
environment_file = "/etc/catmaid/celery.env"
writable_paths = ["{DATA}"]
after = ["rabbitmq-server.service"]

[environment]
DEMO_DATA_DIRECTORY = "{DATA}"

[health]
procman = "/usr/local/bin/procman"
heartbeat_seconds = 1
stale_seconds = 10
stall_seconds = {STALL}
watchdog_seconds = 15
interval_seconds = 2
failures = 2
restarts_per_hour = 1000

[worker.busy]
queues = ["busy"]
concurrency = 2

[worker.alone]
queues = ["alone"]
pool = "solo"

[worker.threads]
queues = ["threads"]
pool = "threads"
concurrency = 2

[beat]
"""

QUEUES = ("busy", "alone", "threads")

BROKER_RESTART_SECONDS = 120.0


def test_busy_work_and_broker_restarts_cause_no_restart(stocked: Host) -> None:
    project = Project(stocked, "soaked", TOML)
    project.procman("install", "--no-check", "--wait", "60", timeout=180)
    before = {name: each["pid"] for name, each in project.status().items() if each["kind"] != "health"}
    sent, restarts, ends = 0, 0, time.monotonic() + 60 * MINUTES
    next_restart = time.monotonic() + BROKER_RESTART_SECONDS
    choose = random.Random(1)
    while time.monotonic() < ends:
        # Short tasks, and sometimes one that takes longer than the stall limit.
        for queue in QUEUES:
            seconds = choose.choice([0, 0, 0.5, 2, 5, 2.5 * STALL])
            send(stocked, "counting.tasks.hold", [10_000 + sent, seconds], queue=queue)
            sent += 1
        time.sleep(choose.uniform(1, 15))
        if time.monotonic() > next_restart:
            stocked.run("systemctl stop rabbitmq-server", timeout=90)
            time.sleep(choose.choice([0, 5, 40]))
            stocked.run("systemctl start rabbitmq-server", timeout=90)
            restarts += 1
            next_restart = time.monotonic() + BROKER_RESTART_SECONDS
    events = _events(project)
    acted = [event for event in events if event["what"] in ("healing", "gave-up")]
    critical = [event for event in events if event["what"] == "found" and event["level"] == "CRITICAL"]
    print(
        f"{MINUTES:g} minutes, {sent} tasks sent, {restarts} restarts of the broker: "
        f"{len(acted)} times something was done, {len(critical)} times something was called critical"
    )
    for event in (*acted, *critical):
        print(json.dumps(event))
    assert acted == []
    after = {name: each["pid"] for name, each in project.status().items() if each["kind"] != "health"}
    assert after == before
    # Celery acknowledges a task as it starts: a task acknowledged just before the broker stopped may be lost, and one
    # not yet acknowledged runs again. Neither is caused by procman, so both are printed but do not fail the test.
    Host.wait_for(lambda: _is_drained(stocked), 60 * MINUTES + 600, "the queues are empty")
    time.sleep(3 * STALL)  # running tasks are in no queue
    done = counted(stocked, "finished")
    numbers = range(10_000, 10_000 + sent)
    print(f"done: {sum(done[number] > 0 for number in numbers)}, twice: {sum(done[number] > 1 for number in numbers)}")
    project.procman("uninstall", "--purge", timeout=180)


def _is_drained(host: Host) -> bool:
    time.sleep(10)  # an answer costs the broker as much as a task
    printed = host.run("rabbitmqctl --quiet --no-table-headers list_queues name messages").stdout
    return not any(int(line.split()[1]) for line in printed.splitlines() if line.split()[0] in QUEUES)


def _events(project: Project) -> list[dict[str, Any]]:
    printed = project.procman("events", "--json", "-n", "100000").stdout
    return [json.loads(line) for line in printed.splitlines()]
