"""A stop under systemd that cannot finish in time, in the default sandbox and with KillMode=mixed.

Two ways to hand a running task back: the end of its pool process (prefork), and the end of all threads of the main
process by an exec (threads, with Redis).
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.trials.ground import Run, Store
from tests.contracts.trials.stops import HANDBACK_SECONDS, STOP_SECONDS, TAKING_SECONDS

from .catmaid import SECRET, VIRTUALENV, Project, show
from .machine import Host
from .trials import copy_trials, install_redis_client

CODE, DATA = "/opt/trials", "/srv/trials"
URLS = {"rabbitmq": f"amqp://catmaid:{SECRET}@localhost:5672//", "redis": "redis://127.0.0.1:6380/0"}

TOML = f"""
[project]
name = "trials"
app = "trial_app"
directory = "{CODE}"
virtualenv = "{VIRTUALENV}"
user = "www-data"
backend = "systemd"
environment_file = "/etc/trials.env"
writable_paths = ["{DATA}"]

[environment]
TRIAL_DATA = "{DATA}"
TRIAL_LATE = "1"

[health]
heal = false
heartbeat_seconds = 1

[defaults.program]
start_seconds = 0
"""

WORKER = """
[worker.{name}]
queues = ["{queue}"]
pool = "{pool}"
concurrency = 2
prefetch_multiplier = 3
stop_timeout_seconds = {stop}
handback_seconds = {handback}
autostart = {autostart}

[worker.{name}.environment]
TRIAL_WORKER = "{name}"
TRIAL_BROKER_NAME = "{broker}"
"""

PLACES = {"prefork": "rabbitmq", "threads": "redis"}
"""Pools, and the brokers of their workers."""


class Busy:
    """Workers that were stopped while each ran two tasks, and held two more."""

    def __init__(self, project: Project) -> None:
        self.project, self.host = project, project.host
        self.store = Store(Path())
        self.begun: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.left: dict[str, str] = {}
        """The processes of each unit when its stop had ended."""

    def look(self) -> Store:
        self.store.data = self.host.path(DATA)
        return self.store

    def runs(self, task_id: str) -> list[Run]:
        return [run for run in self.store.runs() if run.task_id == task_id]

    def handed_back(self, program: str) -> list[dict[str, Any]]:
        printed = self.project.procman("events", "--json", "-n", "1000", program).stdout.splitlines()
        return [event for event in map(json.loads, printed) if event["what"] == "handed-back"]


@pytest.fixture(scope="module")
def project(stocked: Host) -> Iterator[Project]:
    copy_trials(stocked, CODE, DATA)
    install_redis_client(stocked)
    redis = "/usr/bin/redis-server --port 6380 --bind 127.0.0.1 --save '' --dir /tmp"
    stocked.run(f"systemd-run --quiet --unit=trials-redis --service-type=exec {redis}")
    variables = "".join(f"TRIAL_{name.upper()}={url}\n" for name, url in URLS.items())
    stocked.write("/etc/trials.env", variables, mode=0o600)
    project = Project(stocked, "trials", TOML + "".join(_tables()))
    project.procman("install", "--no-check", "--wait", "60")
    yield project
    project.procman("uninstall", "--purge")
    stocked.run("systemctl stop trials-redis")


def _tables() -> Iterator[str]:
    for pool, broker in PLACES.items():
        own = {"queue": pool, "broker": broker}
        yield WORKER.format(name=pool, pool=pool, stop=STOP_SECONDS, handback=HANDBACK_SECONDS, autostart="true", **own)
        yield WORKER.format(name=f"taker-{pool}", pool="threads", stop=60, handback=0, autostart="false", **own)


def _send(host: Host) -> None:
    messages = [
        {
            "id": f"{pool}.{kind}{number}",
            "task": "trials.hold",
            "broker": URLS[broker],
            "queue": pool,
            "arguments": [120.0 if kind == "run" else 0.1],
            "options": {},
        }
        for pool, broker in PLACES.items()
        for kind in ("run", "wait")
        for number in range(2)
    ]
    environment = {"TRIAL_DATA": DATA, "TRIAL_BROKER": URLS["redis"], "PYTHONPATH": CODE}
    command = [f"{VIRTUALENV}/bin/python", "-m", "trial_broker", "send"]
    host.run(command, input=json.dumps(messages), environment=environment)


@pytest.fixture(scope="module")
def busy(project: Project) -> Busy:
    busy, host = Busy(project), project.host
    _send(host)
    running = {f"{pool}.run{number}" for pool in PLACES for number in range(2)}
    host.wait_for(lambda: running <= {run.task_id for run in busy.look().runs()}, 60, "all are busy")
    project.procman("start", *(f"taker-{pool}" for pool in PLACES))
    takers = {f"taker-{pool}" for pool in PLACES}
    host.wait_for(lambda: takers <= set(busy.store.times("ready")), 60, "the takers consume")
    stops = {pool: subprocess.Popen(host.entering(["systemctl", "stop", f"trials-{pool}"])) for pool in PLACES}
    while len(busy.ended) < len(stops):
        for pool, stop in stops.items():
            if pool not in busy.ended and stop.poll() is not None:
                busy.ended[pool] = time.monotonic()
        time.sleep(0.05)
    time.sleep(TAKING_SECONDS)
    busy.begun = {worker: times[0] for worker, times in busy.store.times("stopping").items()}
    return busy


pools = pytest.mark.parametrize("pool", PLACES)


@pools
def test_reserved_messages_return_at_the_start_of_the_stop(busy: Busy, pool: str) -> None:
    for number in range(2):
        [run] = busy.runs(f"{pool}.wait{number}")
        assert run.worker == f"taker-{pool}"
        assert 0 < run.began - busy.begun[pool] < TAKING_SECONDS


@pools
def test_running_tasks_run_again_when_the_first_run_has_ended(busy: Busy, pool: str) -> None:
    for number in range(2):
        [cut, again] = busy.runs(f"{pool}.run{number}")
        assert (cut.worker, cut.has_ended) == (pool, False)
        assert (again.worker, again.has_ended) == (f"taker-{pool}", True)
        assert cut.last < again.began < busy.ended[pool] + TAKING_SECONDS


@pools
def test_stop_ends_before_systemd_kills_the_unit(busy: Busy, pool: str) -> None:
    assert busy.ended[pool] - busy.begun[pool] < STOP_SECONDS
    shown = show(busy.host, f"trials-{pool}.service", "Result", "ActiveState")
    assert shown == {"Result": "success", "ActiveState": "inactive"}


@pools
def test_event_names_the_tasks_that_run_again(busy: Busy, pool: str) -> None:
    [event] = busy.handed_back(f"trials-{pool}")
    assert set(event["task_ids"]) == {f"{pool}.run0", f"{pool}.run1"}


@pools
def test_handback_works_inside_the_sandbox(busy: Busy, pool: str) -> None:
    printed = busy.project.procman("events", "--json", "-n", "1000", f"trials-{pool}").stdout
    assert "rror" not in printed
    log = busy.host.run(["journalctl", "--no-pager", "-u", f"trials-{pool}"]).stdout
    assert "Traceback" not in log
