"""A long task survives three overlap deploys, and short ones never wait for a consumer.

Here: under systemd with RabbitMQ; tests/contracts/test_overlap.py: under supervisord with Redis. `make soak`: both with
both, side by side, with tasks of SOAK_MINUTES.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.contracts.trials.ground import BROKERS
from tests.contracts.trials.overlap_verdict import samples, verdict

from .catmaid import VIRTUALENV, Project
from .machine import Host
from .projects import OWN, side_by_side
from .trials import CODE, DATA, Trials

MINUTES = float(os.environ.get("SOAK_MINUTES") or "60")
DEPLOYS = 3
SAMPLE_SECONDS = 0.1

PROJECT = """
[project]
name = "deploys-{backend}"
app = "trial_app"
directory = "{code}"
virtualenv = "{virtualenv}"
user = "www-data"
backend = "{backend}"
environment_file = "{environment_file}"
writable_paths = ["{data}"]

[environment]
TRIAL_DATA = "{data}"

[defaults.program]
start_seconds = 0
"""

WORKER = """
[worker.{broker}]
overlap = true
queues = ["{backend}-{broker}"]
concurrency = 2
stop_timeout_seconds = 5

[worker.{broker}.environment]
TRIAL_WORKER = "{backend}-{broker}"
TRIAL_BROKER_NAME = "{broker}"
"""


@dataclass
class Deploys:
    """One project for each backend, with one worker for each of its brokers."""

    trials: Trials
    workers: Sequence[tuple[str, str]]
    """Pairs of a backend and a broker."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """How long each `procman restart --overlap` of a backend took."""
    printed: list[str] = field(default_factory=list)
    short: dict[str, list[str]] = field(default_factory=dict)
    """The short tasks of each worker."""

    @property
    def brokers(self) -> dict[str, str]:
        """Return the broker of each worker."""
        return {f"{backend}-{broker}": broker for backend, broker in self.workers}

    @property
    def sampled(self) -> list[str]:
        return [name for name, broker in self.brokers.items() if broker == "rabbitmq"]

    @property
    def long(self) -> list[str]:
        return [f"{name}.long" for name in self.brokers]

    def projects(self) -> list[Project]:
        return [self._project(backend) for backend in sorted({backend for backend, _ in self.workers})]

    def _project(self, backend: str) -> Project:
        places = {"code": CODE, "data": DATA, "virtualenv": VIRTUALENV}
        text = PROJECT.format(backend=backend, environment_file=Trials.environment_file(backend), **places)
        text += "".join(WORKER.format(backend=of, broker=broker) for of, broker in self.workers if of == backend)
        return Project(self.trials.host, f"deploys-{backend}", text + (OWN if backend == "supervisor" else ""))

    def carry_out(self, seconds: float, tasks: int, *words: str, is_told: bool = False) -> None:
        """Send a task that takes `seconds` and `tasks` short ones to each worker; deploy three times meanwhile.

        With `is_told`, the long task also waits for the deploys, however long they take.
        """
        trials, host = self.trials, self.trials.host
        task = ("trials.hold_until_told",) if is_told else ("trials.hold", seconds)
        trials.send([trials.message(f"{name}.long", name, broker, *task) for name, broker in self.brokers.items()])
        host.wait_for(lambda: all(map(trials.store.runs_of, self.long)), 60, "the long tasks run")
        began = time.monotonic()
        self.short = {name: [f"{name}.{number}" for number in range(tasks)] for name in self.brokers}
        short = [ids[number] for number in range(tasks) for ids in self.short.values()]
        with trials.sampled(self.sampled, SAMPLE_SECONDS):
            with trials.trickle(list(map(self._message, short)), 0.8 * seconds / len(short)) as trickle:
                for number in range(DEPLOYS):
                    time.sleep(max(0, began + seconds * (0.1 + 0.25 * number) - time.monotonic()))
                    side_by_side(*(partial(self._deploy, each, *words) for each in self.projects()))
                    assert not any(map(trials.store.has_ended, self.long))
                assert trickle.wait(120 + seconds) == 0
            host.wait_for(lambda: all(map(trials.store.has_ended, short)), 120, "all short tasks have run")
            time.sleep(max(0, began + seconds - time.monotonic()))
            trials.store.tell()
            host.wait_for(lambda: all(map(trials.store.has_ended, self.long)), 120, "the long tasks have ended")

    def _message(self, task_id: str) -> dict[str, object]:
        name = task_id.partition(".")[0]
        return self.trials.message(task_id, name, self.brokers[name], "trials.hold", 0.01)

    def _deploy(self, project: Project, *words: str) -> None:
        began = time.monotonic()
        done = project.procman("restart", "--overlap", "--wait-for-slot", "--at-once", "2", *words)
        self.seconds.setdefault(project.name, []).append(time.monotonic() - began)
        self.printed.append(done.stdout)


@contextmanager
def installed(host: Host, workers: Sequence[tuple[str, str]]) -> Iterator[Deploys]:
    """Install the projects of `workers`, and remove them at the end."""
    made = Deploys(Trials(host), workers)
    if "redis" in made.brokers.values():
        made.trials.start_redis()
    try:
        for project in made.projects():
            project.procman("install", "--no-check", "--wait", "90", timeout=180)
        yield made
    finally:
        for project in made.projects():
            project.procman("uninstall", "--purge")


def judge(deploys: Deploys) -> None:
    """Print the verdict of the store, and assert that nothing was lost, run again or kept waiting."""
    store, names = deploys.trials.store, list(deploys.brokers)
    verdicts = {name: verdict(store, name, ids) for name, ids in deploys.short.items()}
    asked = {name: samples(store, name) for name in deploys.sampled}
    long = [store.runs_of(each) for each in deploys.long]
    for name, found in verdicts.items():
        print(f"{name}: {len(deploys.short[name])} short tasks: {found}; {asked.get(name, 'not sampled')}")
    for name, seconds in deploys.seconds.items():
        print(f"{name}: restart --overlap returned after {', '.join(f'{each:.1f} s' for each in seconds)}")
    print(f"the long tasks took {', '.join(f'{run.last - run.began:.0f} s' for runs in long for run in runs)}")
    assert [[run.has_ended for run in runs] for runs in long] == [[True]] * len(names)
    assert "".join(deploys.printed).count("restarted by an overlap") == DEPLOYS * len(names)
    assert {name: found.overlaps for name, found in verdicts.items()} == dict.fromkeys(names, DEPLOYS)
    assert {name: found for name, found in verdicts.items() if not found.is_clean} == {}
    assert all(counts.least >= 1 and counts.number > 10 for counts in asked.values())


def test_long_task_survives_three_deploys_and_short_ones_always_find_a_consumer(stocked: Host) -> None:
    with installed(stocked, [("systemd", "rabbitmq")]) as deploys:
        deploys.carry_out(30, 100, "--no-check", is_told=True)
        judge(deploys)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_task_of_an_hour_survives_three_deploys_with_each_backend_and_broker(stocked: Host) -> None:
    with installed(stocked, [(backend, broker) for backend in ("systemd", "supervisor") for broker in BROKERS]) as made:
        made.carry_out(60 * MINUTES, 1000)
        judge(made)
