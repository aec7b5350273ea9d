"""The verdict on kills: whether each task that was sent is done, runs again or is listed as lost.

Computed from what the tasks wrote to their own store and what procman listed, without anything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

GONE, MAY_HAVE_FINISHED, HAD_NOT_BEGUN = "gone", "may have finished", "had not begun"
LOST = frozenset({GONE, MAY_HAVE_FINISHED, HAD_NOT_BEGUN})
"""Outcomes of a task that nothing runs again."""
RUNS_AGAIN = frozenset({"redelivered", "sent again", "handed back"})


@dataclass(frozen=True)
class Stored:
    """What the tasks wrote: the ids of those that began, and of those that came to their end, once for each run."""

    began: Counter[str]
    ended: Counter[str]


def stored(lines: Iterable[str]) -> Stored:
    """Return the content of a store whose lines are `began ID` and `ended ID`."""
    words = [line.split() for line in lines]
    return Stored(
        began=Counter(task_id for what, task_id in words if what == "began"),
        ended=Counter(task_id for what, task_id in words if what == "ended"),
    )


def violations(sent: Collection[str], store: Stored, listed: Iterable[tuple[str, str]]) -> list[str]:
    """Return the faults of `listed`, the pairs of task id and outcome that procman showed, in any order.

    The brokers must have had time to deliver again, and no worker may be at work.
    """
    outcomes: dict[str, set[str]] = {}
    for task_id, outcome in listed:
        outcomes.setdefault(task_id, set()).add(outcome)
    found = [f"{task_id}: listed, but never sent" for task_id in sorted(outcomes.keys() - set(sent))]
    for task_id in sorted(sent):
        found += [f"{task_id}: {what}" for what in _wrong(task_id, store, outcomes.get(task_id, set()))]
    return found


def _wrong(task_id: str, store: Stored, outcomes: set[str]) -> Iterator[str]:
    has_begun, has_ended = bool(store.began[task_id]), bool(store.ended[task_id])
    if unknown := outcomes - LOST - RUNS_AGAIN:
        yield f"listed with the unknown outcome {', '.join(sorted(unknown))}"
    if GONE in outcomes and has_ended:
        yield "listed as gone, but it has ended"
    if GONE in outcomes and not has_begun:
        yield "listed as gone, but it had not begun"
    if HAD_NOT_BEGUN in outcomes and has_begun:
        yield "listed as not begun, but it had begun"
    if has_ended or outcomes & LOST:
        return
    if outcomes:
        yield f"listed as {', '.join(sorted(outcomes))}, but it was not run again to its end"
    else:
        yield "neither done nor listed"
