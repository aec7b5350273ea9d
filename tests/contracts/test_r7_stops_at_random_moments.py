"""R7: busy workers are restarted at random moments; the verdict is computed from what their tasks wrote alone.

PROCMAN_SEED=... repeats the moments, the lengths of the tasks and the stop timeouts of an earlier run.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

import pytest

from tests.celery_environments import CELERY_REDIS, environment_of
from tests.contracts.trials.ground import BROKERS, Ground, Message, Run, ground
from tests.contracts.trials.stops import POOLS
from tests.host.overlay import HostError
from tests.product import eventually

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.supervisord,
    pytest.mark.celery,
    pytest.mark.root("RabbitMQ runs in an overlay"),
    pytest.mark.timeout(1200),
]

SECONDS = float(os.environ.get("CHAOS_SECONDS", "120"))
"""How long tasks are sent and workers restarted."""
BATCH, PAUSE_SECONDS = 20, 1.0
"""How many messages are sent at once, and how long the sender then waits."""
QUIET_SECONDS = 60.0
"""How long no task may run before the rest counts as missing."""
HASTY_SHARE = 0.1
"""The share of restarts that do not wait until the worker consumes."""
LONG_SHARE = 0.04
"""The share of tasks that a stop may be too short for."""


@dataclass(frozen=True)
class Sent:
    """A task that was sent."""

    id: str
    is_late: bool


class Storm:
    """Workers of each pool and broker, tasks for them, and restarts."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self.ground = ground
        self.random = random.Random(seed)
        self.workers = [f"{broker}-{pool}" for broker in BROKERS for pool in POOLS]
        self.sent: list[Sent] = []
        self.named: dict[str, dict[str, Any]] = {}
        """The events that name a task id, by program and time."""
        self.restarts = 0
        self._numbers = count()
        self._quiet_since = 0.0
        self._has_restored = False

    def blow(self) -> None:
        """Send tasks and restart workers for a while, then let the workers end the rest."""
        self.ground.configure([self._table(worker, random.Random(self.random.random())) for worker in self.workers])
        self.ground.product.procman("install")
        end = time.monotonic() + SECONDS
        with ThreadPoolExecutor() as pool:
            moments = {worker: random.Random(self.random.random()) for worker in self.workers}
            restarts = [pool.submit(self._restart, worker, moments[worker], end) for worker in self.workers]
            while time.monotonic() < end:
                self._send_some()
                self._note_events()
                time.sleep(PAUSE_SECONDS)
            for each in restarts:
                self.restarts += each.result()
        self._quiet_since = time.monotonic()
        eventually(self._is_over, "every task has ended, or nothing happens any more", patience=600)
        self._note_events()

    def _restart(self, worker: str, moments: random.Random, end: float) -> int:
        done, started = 0, 0.0
        while time.monotonic() < end:
            if moments.random() > HASTY_SHARE:
                self._wait_until_ready(worker, started, end)
            time.sleep(moments.uniform(0, 6))
            self.ground.product.supervisorctl("restart", f"trials-{worker}")
            done, started = done + 1, time.monotonic()
        return done

    def _wait_until_ready(self, worker: str, since: float, end: float) -> None:
        while max(self.ground.store.times("ready").get(worker, [0.0])) <= since and time.monotonic() < end:
            time.sleep(0.2)

    def _send_some(self) -> None:
        messages = []
        for _ in range(BATCH):
            is_late = self.random.random() < 0.5
            sent = Sent(f"{'late' if is_late else 'early'}{next(self._numbers)}", is_late)
            worker = self.random.choice(self.workers)
            seconds = (
                self.random.uniform(2, 30) if self.random.random() < LONG_SHARE else self.random.uniform(0.005, 0.3)
            )
            options = {"countdown": self.random.uniform(0, 5)} if self.random.random() < 0.1 else {}
            task = "trials.late" if is_late else "trials.early"
            messages.append(Message(sent.id, task, worker.partition("-")[0], worker, (seconds,), options))
            self.sent.append(sent)
        self.ground.send(messages)

    def _note_events(self) -> None:
        for event in self.ground.events(*NAMING):
            for number, task_id in enumerate(event["task_ids"]):
                self.named[f"{event['program']} {event['at']} {number} {task_id}"] = {**event, "id": task_id}

    def _is_over(self) -> bool:
        """Return whether every task has run, or none has for so long that the rest is missing."""
        runs = self.ground.store.runs()
        begun, ended = {run.task_id for run in runs}, {run.task_id for run in runs if run.has_ended}
        quiet = time.monotonic() - max([self._quiet_since, *(run.last for run in runs)])
        all_have_run = all(sent.id in (ended if sent.is_late else begun) for sent in self.sent)
        if quiet > QUIET_SECONDS / 2 and not all_have_run and not self._has_restored:
            # A handback that a busy machine cut short leaves messages to the visibility timeout of Redis.
            self._has_restored = True
            print(f"kept by Redis for workers that have ended: {self.ground.unacknowledged()}")
            self.ground.restore(1)
        return quiet > QUIET_SECONDS or (all_have_run and quiet > 1)

    def _table(self, worker: str, own: random.Random) -> str:
        broker, pool = worker.split("-")
        stop = own.randint(12, 16)
        keys = {
            "queues": f'["{worker}"]',
            "pool": f'"{pool}"',
            "concurrency": 1 if pool == "solo" else 3,
            "stop_timeout_seconds": stop,
            "handback_seconds": own.randint(8, stop - 1),
        }
        lines = [f"{key} = {value}\n" for key, value in keys.items()]
        return "".join([f"[worker.{worker}]\n", *lines, self.ground.environment(worker, broker)])


NAMING = ("handed-back", "cut", "lost")


@pytest.fixture(scope="module")
def storm() -> Iterator[Storm]:
    environment = environment_of(CELERY_REDIS)
    assert environment
    seed = int(os.environ.get("PROCMAN_SEED") or random.SystemRandom().randrange(10**6))
    print(f"PROCMAN_SEED={seed}")
    try:
        with ground(environment) as made:
            storm = Storm(made, seed)
            storm.blow()
            yield storm
    except HostError as error:
        pytest.skip(f"RabbitMQ cannot run here: {error}")


def runs_of(storm: Storm) -> dict[str, list[Run]]:
    """Return the runs of each task, the first one first."""
    found: dict[str, list[Run]] = {sent.id: [] for sent in storm.sent}
    for run in storm.ground.store.runs():
        found[run.task_id].append(run)
    return found


def named(storm: Storm) -> dict[str, int]:
    """Return how many events name each task."""
    found: dict[str, int] = {}
    for each in storm.named.values():
        found[each["id"]] = found.get(each["id"], 0) + 1
    return found


def test_tasks_ran_and_some_were_cut(storm: Storm) -> None:
    runs = [run for runs in runs_of(storm).values() for run in runs]
    cut = [run for run in runs if not run.has_ended]
    print(f"{len(storm.sent)} tasks, {storm.restarts} restarts, {len(cut)} of {len(runs)} runs cut")
    assert storm.restarts > len(storm.workers)
    assert len(runs) > len(cut) > 0


def test_early_task_runs_at_most_once(storm: Storm) -> None:
    early = {sent.id for sent in storm.sent if not sent.is_late}
    assert {task_id: runs for task_id, runs in runs_of(storm).items() if task_id in early and len(runs) > 1} == {}


def test_task_that_did_not_end_is_named(storm: Storm) -> None:
    names, runs = named(storm), runs_of(storm)
    missing = {sent.id for sent in storm.sent if not any(run.has_ended for run in runs[sent.id])}
    assert missing - set(names) == set()


def test_late_task_ends(storm: Storm) -> None:
    runs = runs_of(storm)
    assert {sent.id for sent in storm.sent if sent.is_late and not any(run.has_ended for run in runs[sent.id])} == set()


def test_late_task_runs_again_only_if_events_name_it(storm: Storm) -> None:
    names, runs = named(storm), runs_of(storm)
    late = {sent.id for sent in storm.sent if sent.is_late}
    again = {task_id: runs[task_id] for task_id in late if len(runs[task_id]) > names.get(task_id, 0) + 1}
    assert again == {}


def test_late_task_never_runs_in_two_places_at_once(storm: Storm) -> None:
    for runs in runs_of(storm).values():
        for first, second in pairwise(runs):
            assert first.last < second.began, (first, second)
