"""Kills of busy workers at random moments, side by side, and what `procman lost` lists after each."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.contracts.trials.boot import Boot
from tests.contracts.trials.ground import Ground, Message
from tests.contracts.trials.kill_verdict import (
    CHILD_WITHOUT_MEMORY,
    POOL_CHILD,
    REBOOT,
    WHOLE_TREE,
    Listed,
    Sent,
    stored,
    violations,
)
from tests.contracts.trials.killing import WITHOUT_MEMORY, WORKER, WORKER_WITHOUT_MEMORY, Prey
from tests.contracts.trials.redis_monitor import Monitor, never_noted
from tests.product import eventually

SHORTEST, LONGEST = 0.005, 0.5
"""How long a task takes, in seconds."""
VISIBILITY_SECONDS = 6
"""Longer than a worker takes for the messages that it has reserved."""
SENT_EACH_TIME = 12
PATIENCE_SECONDS = 240.0
"""How long workers may take to start, and brokers to deliver everything again."""
PROJECT = "kills"


@dataclass(frozen=True)
class Victim:
    """A worker to kill."""

    broker: str
    is_late: bool
    pool: str = "prefork"
    more: str = ""
    """Another setting: `reject` (`task_reject_on_worker_lost`), `retry` (`task_retry_on_worker_lost`), `results`."""

    @property
    def name(self) -> str:
        mode = "late" if self.is_late else "early"
        return "-".join(filter(None, (self.broker, self.pool, mode, self.more)))

    @property
    def kinds(self) -> list[str]:
        """Return the kinds of kills of this worker alone."""
        has_children = self.pool == "prefork"
        return [WORKER, WORKER_WITHOUT_MEMORY] + has_children * [POOL_CHILD, WHOLE_TREE, CHILD_WITHOUT_MEMORY]


@dataclass
class Killed:
    """What was done, and what procman listed."""

    kills: Counter[str] = field(default_factory=Counter)
    sent: dict[str, Sent] = field(default_factory=dict)
    listed: list[Listed] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """Those of the tasks' store."""
    never_noted: Counter[str] = field(default_factory=Counter)
    """How many messages of each task Redis handed to a worker that did not come to note that it had them."""

    @property
    def done(self) -> int:
        """Return how many tasks have come to their end."""
        store = stored(self.lines)
        return sum(store.has_ended(task_id) for task_id in self.sent)

    @property
    def lost_by_redis(self) -> list[str]:
        """Return the tasks that were lost between Redis and a worker that was killed at that moment.

        A worker takes one message at a time, so that a kill of its main process costs one at most.
        """
        store = stored(self.lines)
        found = []
        for worker, tasks in _by_worker(self.never_noted, self.sent).items():
            kills = [
                kill for kill in store.kills.get(worker, ()) if kill.kind not in (POOL_CHILD, CHILD_WITHOUT_MEMORY)
            ]
            if sum(self.never_noted[task] for task in tasks) <= len(kills):
                found += tasks
        return sorted(found)

    def of_lost_by_redis(self) -> list[str]:
        """Return what else is known of the tasks that were lost so."""
        store = stored(self.lines)
        return [
            f"{task_id}: {len(store.runs.get(task_id, ()))} runs, has ended: {store.has_ended(task_id)}, "
            f"listed as {[each.outcome for each in self.listed if each.task_id == task_id]}"
            for task_id in self.lost_by_redis
        ]

    def history_of(self, task_id: str) -> list[str]:
        """Return what the store has about a task and its worker's kills, and what procman listed."""
        kept = {task_id, task_id.partition(".")[0]}
        lines = [line for line in self.lines if line.split()[1] in kept]
        return lines + [str(each) for each in self.listed if each.task_id == task_id]

    def violations(self) -> list[str]:
        return violations(self.sent, stored(self.lines), self.listed, self.lost_by_redis)


class Kills:
    """Rounds in which each victim is killed once."""

    def __init__(
        self,
        ground: Ground,
        victims: Sequence[Victim],
        choose: random.Random,
        *,
        kinds: Sequence[str],
        quiet_seconds: float,
    ) -> None:
        self.ground, self.victims, self.random, self.kinds = ground, victims, choose, kinds
        self.killed = Killed()
        self.boot = Boot(ground.product.directory)
        self.prey = {victim.name: Prey(ground, victim.name) for victim in victims}
        self.quiet_seconds = quiet_seconds
        """Longer than any task takes."""

    def carry_out(self, rounds: int, monitor: Monitor) -> Killed:
        """Kill each victim `rounds` times, and wait until the brokers have delivered the rest."""
        product = self.ground.product
        product.prefix = self.boot.prefix
        try:
            self.ground.configure(map(self._worker, self.victims), name=PROJECT)
            product.procman("install")
            for number in range(rounds):
                self._round(number)
            self._wait_until_idle()
            self._collect()
            self.killed.lines = self.ground.store.work()
            self.killed.never_noted = never_noted(monitor.lines(self.ground.redis))
        finally:
            self.boot.end()
        return self.killed

    def _round(self, number: int) -> None:
        before = self._begun()
        self._send()
        # One round in three is a reboot, which kills all.
        if number % 3 == 1 and REBOOT in self.kinds:
            self._reboot(number, before)
        else:
            self._kill_each(number, before)
        # The record keeps the last five processes that left tasks, so that each round is collected.
        self._collect()

    def _send(self) -> None:
        messages = [
            Message(
                f"{each.name}.{len(self.killed.sent)}-{number}",
                "trials.work",
                each.broker,
                each.name,
                (round(self.random.uniform(SHORTEST, LONGEST), 3),),
            )
            for each in self.victims
            for number in range(SENT_EACH_TIME)
        ]
        self.ground.send(messages)
        self.killed.sent |= {each.id: Sent(each.queue, each.broker == "rabbitmq") for each in messages}

    def _kill_each(self, number: int, before: Mapping[str, int]) -> None:
        drawn = [
            (each, self.random.choice([kind for kind in each.kinds if kind in self.kinds]), self.random.uniform(0.1, 1))
            for each in self.victims
        ]
        with ThreadPoolExecutor(len(drawn)) as pool:
            list(pool.map(lambda each: self._kill(number, before, *each), drawn))

    def _kill(self, number: int, begun: Mapping[str, int], victim: Victim, kind: str, delay: float) -> None:
        """Kill when a task of this round has begun, `delay` seconds later."""
        before = begun[victim.name]
        eventually(lambda: self._begun()[victim.name] > before, f"{victim.name} is busy", PATIENCE_SECONDS)
        time.sleep(delay)
        if kind in WITHOUT_MEMORY:
            # The kernel kills when it has found that there is none left, which takes a while.
            self.ground.send([self._one_more(victim, each) for each in range(SENT_EACH_TIME)])
        self.prey[victim.name].kill(number, kind)
        self.killed.kills[kind] += 1
        print(f"{victim.name}: {kind} killed after {before} tasks had begun", flush=True)

    def _one_more(self, victim: Victim, number: int) -> Message:
        task_id = f"{victim.name}.{len(self.killed.sent)}-more{number}"
        self.killed.sent[task_id] = Sent(victim.name, victim.broker == "rabbitmq")
        return Message(task_id, "trials.work", victim.broker, victim.name, (LONGEST,))

    def _reboot(self, number: int, before: Mapping[str, int]) -> None:
        """Kill everything at once when at least half of the victims are at work, and boot again."""

        def are_busy() -> bool:
            begun = self._begun()
            return sum(begun[each.name] > before[each.name] for each in self.victims) >= len(self.victims) / 2

        eventually(are_busy, "workers are busy", PATIENCE_SECONDS)
        time.sleep(self.random.uniform(0.1, 1))
        for prey in self.prey.values():
            prey.note_kill(number)
        self.boot.end()
        for prey in self.prey.values():
            prey.note_killed(number, REBOOT)
        self.killed.kills[REBOOT] += len(self.prey)
        print(f"reboot of {len(self.prey)} workers", flush=True)
        self.boot = Boot(self.ground.product.directory)
        self.ground.product.prefix = self.boot.prefix
        self.ground.product.procman("start")

    def _begun(self) -> Counter[str]:
        """Return how many runs of each victim's tasks have begun."""
        begun = (line.split()[1] for line in self.ground.store.work() if line.startswith("began "))
        return Counter(task_id.partition(".")[0] for task_id in begun)

    def _collect(self) -> None:
        document = json.loads(self.ground.product.procman("lost", "--json").stdout)
        assert document["problems"] == []
        for each in document["tasks"]:
            worker = each["program"].removeprefix(f"{PROJECT}-")
            found = Listed(worker, each["id"], each["outcome"], each["started"])
            if found not in self.killed.listed:
                self.killed.listed.append(found)

    def _wait_until_idle(self) -> None:
        """Wait until no broker holds a message, and no worker has begun or ended a task for a while."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        before: list[str] = []
        while before != (before := self.ground.store.work()) or self._waiting():
            assert time.monotonic() < deadline, f"the brokers still hold {self._waiting()}"
            time.sleep(self.quiet_seconds)

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
        variables |= {f"TRIAL_{victim.more.upper()}": "1"} if victim.more in ("reject", "retry") else {}
        variables |= {"TRIAL_RESULTS": self.ground.redis.url(1)} if victim.more == "results" else {}
        concurrency = 1 if victim.pool == "solo" else 2
        keys = f'queues = ["{victim.name}"]\npool = "{victim.pool}"\nconcurrency = {concurrency}\n'
        return f"[worker.{victim.name}]\n{keys}" + self.ground.environment(victim.name, victim.broker, **variables)


def _by_worker(task_ids: Iterable[str], sent: Mapping[str, Sent]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for task_id in task_ids:
        found.setdefault(sent[task_id].worker, []).append(task_id)
    return found
