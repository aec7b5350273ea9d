"""What the watcher last saw of the project's brokers, and since when the messages of a queue wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from procman.probes.broker_facts import BrokerFacts, QueueFacts

RECENT_SECONDS = 180.0
"""Age of a look above which it shows nothing any more, and above which a change in between may have been missed."""


@dataclass(frozen=True)
class Waiting:
    """Since when the messages of a queue wait, in seconds of the monotonic clock."""

    broker: str
    """The URL, without its password."""
    queue: str
    untaken_since: float
    """Since when no look has found fewer messages, or another number of unacknowledged ones."""
    unconsumed_since: float | None
    """Since when the broker has counted no consumer; None: it counts one, or none at all."""


@dataclass(frozen=True)
class BrokerLook:
    """The answers of the project's brokers at one moment; worthless after a boot."""

    boot_id: str
    at: float
    """By the monotonic clock."""
    wall: float
    """In seconds since the epoch."""
    brokers: tuple[BrokerFacts, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    """The queues with messages."""
    problem: str = ""
    """Why the brokers could not be asked."""

    def with_brokers(self, brokers: Iterable[BrokerFacts]) -> BrokerLook:
        """Return this look with the answers of `brokers`."""
        return replace(self, brokers=tuple(brokers))

    def with_problem(self, problem: str) -> BrokerLook:
        """Return this look, which failed because of `problem`."""
        return replace(self, problem=problem)

    def queues(self) -> Iterator[tuple[BrokerFacts, QueueFacts, Waiting | None]]:
        """Yield each queue with its broker, and since when its messages wait; None if it has none."""
        waiting = {(each.broker, each.queue): each for each in self.waiting}
        for broker in self.brokers:
            for queue in broker.queues:
                yield broker, queue, waiting.get((broker.url, queue.name))


def next_look(before: BrokerLook | None, look: BrokerLook) -> BrokerLook:
    """Return `look` with the times since when messages wait, by comparison with the look `before`."""
    if before is None or before.boot_id != look.boot_id or look.at - before.at > RECENT_SECONDS:
        before = None
    earlier = {(broker.url, queue.name): (queue, since) for broker, queue, since in before.queues()} if before else {}
    waiting = []
    for broker, queue, _ in look.queues():
        if queue.messages:
            seen, since = earlier.get((broker.url, queue.name), (None, None))
            is_untaken = since and seen and _is_untaken(seen, queue)
            unconsumed = since.unconsumed_since if since and since.unconsumed_since is not None else look.at
            waiting.append(
                Waiting(
                    broker.url,
                    queue.name,
                    untaken_since=since.untaken_since if since and is_untaken else look.at,
                    unconsumed_since=unconsumed if queue.consumers == 0 else None,
                )
            )
    return replace(look, waiting=tuple(waiting))


def _is_untaken(before: QueueFacts, queue: QueueFacts) -> bool:
    return (before.messages or 0) <= (queue.messages or 0) and before.unacknowledged == queue.unacknowledged


def with_programs(brokers: Sequence[BrokerFacts], declared: Mapping[str, Sequence[str]]) -> tuple[BrokerFacts, ...]:
    """Return `brokers` with the programs of each queue by procman.toml, where `declared` has queues for a program.

    The record of a program that was changed and not started since names its former queues.
    """

    def programs_of(queue: QueueFacts) -> tuple[str, ...]:
        recorded = [name for name in queue.programs if not declared.get(name)]
        return tuple(sorted({*recorded, *(name for name, queues in declared.items() if queue.name in queues)}))

    return tuple(
        replace(broker, queues=tuple(replace(queue, programs=programs_of(queue)) for queue in broker.queues))
        for broker in brokers
    )
