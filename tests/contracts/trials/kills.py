"""Kills of busy workers at random moments, side by side, and what `procman lost` lists after each."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.contracts.trials.ground import Ground, Message
from tests.contracts.trials.kill_verdict import Stored, stored, violations
from tests.product import eventually

KINDS = ("worker", "pool child", "whole tree")
SHORTEST, LONGEST = 0.005, 0.5
"""How long a task takes, in seconds."""
VISIBILITY_SECONDS = 6
"""Longer than a worker takes for the messages that it has reserved."""
QUIET_SECONDS = 2.0
"""Longer than any task takes."""
SENT_EACH_TIME = 12


@dataclass(frozen=True)
class Victim:
    """A worker to kill."""

    broker: str
    is_late: bool
    rejects: bool = False
    has_results: bool = False

    @property
    def name(self) -> str:
        more = ("-reject" if self.rejects else "") + ("-results" if self.has_results else "")
        return f"kills-{self.broker}-{'late' if self.is_late else 'early'}{more}"


@dataclass
class Killed:
    """What was done, and what procman listed."""

    kills: Counter[str] = field(default_factory=Counter)
    sent: set[str] = field(default_factory=set)
    listed: set[tuple[str, str]] = field(default_factory=set)
    store: Stored = field(default_factory=lambda: stored(()))
    never_received: set[str] = field(default_factory=set)
    """Messages that Redis handed to a worker which was killed before kombu had noted them there: no one has them."""

    def violations(self) -> list[str]:
        return violations(self.sent - self.never_received, self.store, self.listed)


class Kills:
    """Rounds in which each victim is killed once."""

    def __init__(self, ground: Ground, victims: Sequence[Victim], seed: int) -> None:
        self.ground, self.victims, self.random = ground, victims, random.Random(seed)
        self.killed = Killed()

    def carry_out(self, rounds: int) -> Killed:
        """Kill each victim `rounds` times, and wait until the brokers have delivered what is left."""
        self.ground.configure(map(self._worker, self.victims), name="kills")
        self.ground.product.procman("install")
        for _ in range(rounds):
            self._send()
            self._kill_each()
            # The record keeps the last five processes that left tasks, so that each round is collected.
            self._collect()
        self._wait_until_idle()
        self._collect()
        self.killed.store = stored(self._lines())
        received = {each.task_id for each in self.ground.store.received()}
        of_redis = {each for each in self.killed.sent if each.startswith("kills-redis-")}
        self.killed.never_received = of_redis - received - set(self.killed.store.began)
        return self.killed

    def _send(self) -> None:
        messages = [
            Message(
                f"{each.name}-{len(self.killed.sent)}-{number}",
                "trials.work",
                each.broker,
                each.name,
                (round(self.random.uniform(SHORTEST, LONGEST), 3),),
            )
            for each in self.victims
            for number in range(SENT_EACH_TIME)
        ]
        self.ground.send(messages)
        self.killed.sent |= {each.id for each in messages}

    def _kill_each(self) -> None:
        drawn = [(each, self.random.choice(KINDS), self.random.uniform(0.1, 1.0)) for each in self.victims]
        with ThreadPoolExecutor(len(drawn)) as pool:
            list(pool.map(lambda each: self._kill(*each), drawn))
        self.killed.kills.update(kind for _, kind, _ in drawn)

    def _kill(self, victim: Victim, kind: str, delay: float) -> None:
        """Kill when a task of this round has begun, `delay` seconds later."""
        before = self._begun(victim)
        eventually(lambda: self._begun(victim) > before or not self._has_work(victim), f"{victim.name} is busy")
        time.sleep(delay)
        main = psutil.Process(self.ground.product.status()[f"kills-{victim.name}"]["pid"])
        children = main.children(recursive=True)
        doomed = {"worker": [main], "pool child": children[:1], "whole tree": [main, *children]}[kind]
        print(f"{victim.name}: {kind} killed after {before} tasks had begun")
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)

    def _begun(self, victim: Victim) -> int:
        return sum(line.startswith(f"began {victim.name}-") for line in self._lines())

    def _has_work(self, victim: Victim) -> bool:
        ended = {line.split()[1] for line in self._lines() if line.startswith("ended ")}
        return any(task_id.startswith(f"{victim.name}-") for task_id in self.killed.sent - ended)

    def _lines(self) -> list[str]:
        path = self.ground.store.data / "work"
        return path.read_text().splitlines() if path.exists() else []

    def _collect(self) -> None:
        document = json.loads(self.ground.product.procman("lost", "--json").stdout)
        self.killed.listed |= {(each["id"], each["outcome"]) for each in document["tasks"]}

    def _wait_until_idle(self, patience: float = 60.0) -> None:
        """Wait until no broker holds a message, and no worker has begun or ended a task for a while."""
        deadline = time.monotonic() + patience
        before: list[str] = []
        while before != (before := self._lines()) or self._waiting():
            assert time.monotonic() < deadline, f"the brokers still hold {self._waiting()} after {patience:g} s"
            time.sleep(QUIET_SECONDS)

    def _waiting(self) -> dict[str, int]:
        """Return how many messages the brokers hold, without those that a worker of RabbitMQ has."""
        waiting = self.ground.waiting({each.name: each.broker for each in self.victims})
        if unacknowledged := self.ground.unacknowledged():
            self.ground.restore(VISIBILITY_SECONDS)
            waiting["unacknowledged in Redis"] = unacknowledged
        return {queue: count for queue, count in waiting.items() if count}

    def _worker(self, victim: Victim) -> str:
        variables = {"TRIAL_VISIBILITY": str(VISIBILITY_SECONDS)} if victim.broker == "redis" else {}
        variables |= {"TRIAL_LATE": "1"} if victim.is_late else {}
        variables |= {"TRIAL_REJECT": "1"} if victim.rejects else {}
        variables |= {"TRIAL_RESULTS": self.ground.redis.url(1)} if victim.has_results else {}
        table = f'[worker.{victim.name}]\nqueues = ["{victim.name}"]\nconcurrency = 2\n'
        return table + self.ground.environment(victim.name, victim.broker, **variables)
