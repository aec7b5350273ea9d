"""Trials of stops with running, waiting, postponed and limited tasks, all side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.contracts.trials.ground import BROKERS, Ends, Ground, Message, Received, Run
from tests.product import eventually

STOP_SECONDS, HANDBACK_SECONDS = 18, 9
"""Redis gets its messages back from a script that has to import kombu, beside a score of busy workers."""
LONG, SHORT = 120.0, 2.5
"""How long a task takes that no stop waits for, and one of a worker that is restarted."""
TAKING_SECONDS = 5.0
"""How soon another worker can take a message that is returned."""
RETURNED_SECONDS = 30.0
"""How long running tasks wait at most until others have run what their worker returned."""
POOLS = ("prefork", "threads", "solo")
RESTARTS = 2
HELD_AT_ONCE = 12
"""How many messages a worker may hold: more than it gets."""


@dataclass(frozen=True)
class Trial:
    """A worker that is stopped while it is busy and holds more."""

    pool: str
    broker: str
    is_late: bool = False
    task_seconds: float = LONG
    stop_seconds: int = STOP_SECONDS
    queue_type: str = "classic"
    ends_when_told: bool = False
    """Whether its running tasks end as soon as others have run what waits."""

    @property
    def name(self) -> str:
        mode = "late" if self.is_late else "early"
        end = "" if self.is_cut else "-ends"
        return f"{self.broker}-{self.pool}-{mode}{end}" if self.queue_type == "classic" else f"quorum-{self.pool}"

    @property
    def is_cut(self) -> bool:
        """Return whether its tasks take longer than its stop may take."""
        return not self.ends_when_told and self.task_seconds > self.stop_seconds

    @property
    def slots(self) -> int:
        return 1 if self.pool == "solo" else 2

    @property
    def running(self) -> list[str]:
        """Return the messages that run when it is stopped, in the order of its stops."""
        rounds = 1 if self.queue_type == "classic" else 1 + RESTARTS
        return [f"{self.name}.run{number}" for number in range(rounds * self.slots)]

    @property
    def waiting(self) -> list[str]:
        """Return the messages that are ready to run when a slot is free."""
        return [f"{self.name}.wait{number}" for number in range(3)]

    @property
    def postponed(self) -> list[str]:
        """Return the messages with an ETA or a rate limit that it holds."""
        return [f"{self.name}.eta", f"{self.name}.limited1"]

    @property
    def reserved(self) -> list[str]:
        """Return all messages that it holds. From Redis a busy solo pool takes none."""
        takes_none = (self.pool, self.broker) == ("solo", "redis")
        return self.postponed if takes_none else [*self.waiting, *self.postponed]

    def messages(self) -> Iterator[Message]:
        """Return its messages in the order in which they are sent."""

        def message(task_id: str, task: str, *arguments: object, **options: object) -> Message:
            return Message(task_id, f"trials.{task}", self.broker, self.name, arguments, options)

        yield message(f"{self.name}.eta", "hold", 0.1, countdown=3600)
        yield message(f"{self.name}.limited0", "limited")
        yield message(f"{self.name}.limited1", "limited")
        for task_id in self.running:
            if self.ends_when_told:
                yield message(task_id, "hold_until_told")
            else:
                yield message(task_id, "hold", self.task_seconds)
        for task_id in self.waiting:
            yield message(task_id, "hold", 0.1)


def restarted(pool: str) -> Trial:
    """Return a trial with a quorum queue, which counts returns."""
    return Trial(pool, "rabbitmq", task_seconds=SHORT, stop_seconds=60, queue_type="quorum")


@dataclass
class Outcome:
    """What was seen of all trials."""

    stops: dict[str, list[float]] = field(default_factory=dict)
    """When each worker got TERM."""
    ready: dict[str, list[float]] = field(default_factory=dict)
    """When each worker began to consume."""
    ended: dict[str, float] = field(default_factory=dict)
    """When its process was gone."""
    runs: list[Run] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    """Those of a handback."""
    left: dict[str, int] = field(default_factory=dict)
    """How many messages each queue has when no worker runs."""
    unacknowledged: int = 0
    """How many messages Redis keeps then for workers."""
    stdout: str = ""
    """What `procman stop` printed."""
    stderr: str = ""

    def term(self, trial: Trial) -> float:
        """Return when the worker of `trial` got TERM."""
        return self.stops[trial.name][0]

    def runs_of(self, task_id: str) -> list[Run]:
        """Return the runs of a task."""
        return [run for run in self.runs if run.task_id == task_id]

    def taken(self, task_id: str) -> list[Received]:
        """Return each time that another worker got this message."""
        return [each for each in self.received if each.task_id == task_id and each.worker.startswith("taker")]


class Trials:
    """Trials to carry out together."""

    def __init__(self, ground: Ground, trials: Sequence[Trial]) -> None:
        self.ground, self.trials = ground, trials
        self.stopped = [each for each in trials if each.queue_type == "classic"]
        self.restarted = [each for each in trials if each.queue_type == "quorum"]
        self.takers = [f"taker-{broker}" for broker in BROKERS]

    def carry_out(self) -> Outcome:
        """Let each worker become busy, stop all at once, and let others take what they return."""
        product = self.ground.product
        self.ground.configure([*map(self._worker, self.trials), *map(self._taker, BROKERS)])
        product.procman("install")
        self.ground.send([message for each in self.trials for message in each.messages()])
        with ThreadPoolExecutor() as pool:
            restarts = [pool.submit(self._restart, each) for each in self.restarted]
            outcome = self._stop()
            for each in restarts:
                each.result()
        outcome.stops, outcome.ready = self.ground.store.times("stopping"), self.ground.store.times("ready")
        outcome.runs, outcome.received = self.ground.store.runs(), self.ground.store.received()
        outcome.events = self.ground.events("handed-back", "cut")
        product.procman("stop", *self.takers)
        outcome.left = self.ground.waiting({each.name: each.broker for each in self.stopped})
        outcome.unacknowledged = self.ground.unacknowledged()
        return outcome

    def _stop(self) -> Outcome:
        """Stop the workers that are stopped once when others can take what they return, and wait until these did."""
        running = {task_id for each in self.stopped for task_id in each.running}
        eventually(lambda: running <= {run.task_id for run in self.ground.store.runs()}, "all are busy")
        self.ground.product.procman("start", *self.takers)
        eventually(lambda: set(self.takers) <= set(self.ground.store.times("ready")), "the takers consume")
        status = self.ground.product.status()
        ends = Ends({each.name: status[f"trials-{each.name}"]["pid"] for each in self.stopped})
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(self.ground.product.procman, "stop", *(each.name for each in self.stopped))
            self._let_end()
            outcome = Outcome(ended=ends.wait(60))
            outcome.stdout, outcome.stderr = stopping.result().stdout, stopping.result().stderr
        time.sleep(TAKING_SECONDS + 1)
        return outcome

    def _let_end(self) -> None:
        """Tell the tasks that wait for it to end, once others have run what their workers returned."""
        waiting = {task_id for each in self.stopped if each.ends_when_told for task_id in each.waiting}
        deadline = time.monotonic() + RETURNED_SECONDS
        while not waiting <= {run.task_id for run in self.ground.store.runs() if run.has_ended}:
            if time.monotonic() > deadline:
                break  # a test names the missing ones
            time.sleep(0.2)
        self.ground.store.tell()

    def _restart(self, trial: Trial) -> None:
        """Restart a worker while it is busy, several times, and let it end the rest."""
        for _ in range(RESTARTS):
            self._wait_until_busy(trial, since=time.monotonic())
            self.ground.product.supervisorctl("restart", f"trials-{trial.name}")
        ended = set(trial.waiting)
        eventually(
            lambda: ended <= {run.task_id for run in self.ground.store.runs() if run.has_ended}, "its tasks have ended"
        )

    def _wait_until_busy(self, trial: Trial, since: float) -> None:
        """Wait until the worker of `trial` runs as many tasks as it can, or has none left to run."""

        def is_busy() -> bool:
            runs = [run for run in self.ground.store.runs() if run.task_id in trial.running]
            ended = [run for run in runs if run.has_ended]
            return len([run for run in runs if run.last > since]) >= trial.slots or len(ended) == len(trial.running)

        eventually(is_busy, f"{trial.name} is busy")

    def _worker(self, trial: Trial) -> str:
        keys = {
            "queues": f'["{trial.name}"]',
            "pool": f'"{trial.pool}"',
            "concurrency": trial.slots,
            "prefetch_multiplier": HELD_AT_ONCE // trial.slots,
            "stop_timeout_seconds": trial.stop_seconds,
            "handback_seconds": HANDBACK_SECONDS,
        }
        variables = {"TRIAL_LATE": "1"} if trial.is_late else {}
        if trial.queue_type == "quorum":
            variables["TRIAL_QUEUES"] = trial.name
        return self._table(trial.name, keys, trial.broker, **variables)

    def _taker(self, broker: str) -> str:
        names = [each.name for each in self.stopped if each.broker == broker]
        keys = {
            "queues": "[" + ", ".join(f'"{name}"' for name in names) + "]",
            "pool": '"threads"',
            "concurrency": 8,
            "prefetch_multiplier": 40,
            "autostart": "false",
        }
        return self._table(f"taker-{broker}", keys, broker, TRIAL_QUEUES=" ".join(names))

    def _table(self, name: str, keys: dict[str, Any], broker: str, **variables: str) -> str:
        lines = [f"{key} = {value}\n" for key, value in keys.items()]
        return "".join([f"[worker.{name}]\n", *lines, self.ground.environment(name, broker, **variables)])
