"""The verdict of the store on overlaps: whether a worker consumed at each moment, and each task ran once.

A worker's processes note when they begin to consume (`ready`) and when they get the signal to stop (`stopping`); the
sender notes when it sends a message, each run when it begins, and the sampler what RabbitMQ counts. procman knows none
of these files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from tests.contracts.trials.ground import Store


class Verdict(NamedTuple):
    """The verdict on the short tasks of one worker, and on the processes that ran them."""

    overlaps: int
    """How many processes began to consume before the one before them stopped."""
    gaps: list[float]
    """For how many seconds no process consumed, for each successor that came too late."""
    not_once: list[str]
    """The tasks that did not run once, to their end."""
    waited_in_vain: list[str]
    """The tasks that waited at a moment when no process consumed."""
    longest_wait: float
    """The longest time from the sending of a task to its begin, in seconds."""

    @property
    def is_clean(self) -> bool:
        """Return whether nothing was lost, run again or kept waiting for a consumer."""
        return not (self.gaps or self.not_once or self.waited_in_vain)


def verdict(store: Store, worker: str, short: Iterable[str]) -> Verdict:
    """Return the verdict on `worker` after it was sent the tasks `short`, all of which should have ended."""
    ids = set(short)
    ready, stopping = sorted(store.times("ready")[worker]), sorted(store.times("stopping").get(worker, []))
    handovers = list(zip(stopping, ready[1:], strict=False))
    gaps = [(end, begin) for end, begin in handovers if end < begin]
    runs = [run for run in store.runs() if run.task_id in ids]
    whole = Counter(run.task_id for run in runs if run.has_ended)
    begun = Counter(run.task_id for run in runs)
    sent = store.sent()
    waits = [(run.task_id, sent[run.task_id], run.began) for run in runs]
    return Verdict(
        len(handovers) - len(gaps),
        [begin - end for end, begin in gaps],
        sorted(each for each in ids if (whole[each], begun[each]) != (1, 1)),
        sorted(each for each, at, began in waits if any(at < begin and end < began for end, begin in gaps)),
        max((began - at for _, at, began in waits), default=0.0),
    )


class Samples(NamedTuple):
    """How often RabbitMQ was asked about a queue, and what it counted."""

    number: int
    least: int
    """The smallest number of consumers."""
    longest_pause: float
    """Between two samples, in seconds."""


def samples(store: Store, queue: str) -> Samples:
    """Return what was sampled about `queue`."""
    found = store.sampled(queue)
    pauses = (after - before for (before, _), (after, _) in pairwise(found))
    return Samples(len(found), min(number for _, number in found), max(pauses))
