"""Follow whether the main process of a program whose heartbeat is old acts, from one check to the next."""

from __future__ import annotations

from dataclasses import dataclass

from procman.agent.process_evidence import Sample, sample
from procman.agent.verdict import Evidence
from procman.host.process import identity
from procman.host.process_tree import children_finder, tree_of

SUSPEND_SECONDS = 1.0
"""Less than any suspend of the host takes."""


@dataclass(frozen=True)
class Inactivity:
    """What was last seen of a main process, and since when nothing has changed."""

    process: str
    """Its identity, as `identity` returns it."""
    since: float
    """When it was last seen to act, or first looked at, in seconds of the monotonic clock."""
    acted: bool
    """It was seen to act at that moment."""
    main: str
    """As in `Sample`."""
    children: str
    asleep: float


def look(before: Inactivity | None, pid: int, now: float) -> tuple[Inactivity | None, Evidence]:
    """Look at process `pid` and compare it with what was seen before; return what to remember, and the evidence.

    `now` is the monotonic clock. A suspend of the host counts as a change, because nothing acts in that time.
    """
    process, seen = identity(pid), sample(pid, descendants_of)
    if seen is None or not process:
        return None, Evidence()
    if before is not None and before.process != process:
        before = None
    after = _after(before, seen, process, now)
    evidence = Evidence(
        acted=after.acted,
        idle_seconds=now - after.since,
        is_stopped=seen.is_stopped,
        works=before is not None and before.children != seen.children,
        excuse=seen.excuse,
        waits=seen.waits,
    )
    return after, evidence


def _after(before: Inactivity | None, seen: Sample, process: str, now: float) -> Inactivity:
    if before is None:
        return Inactivity(process, now, acted=False, main=seen.main, children=seen.children, asleep=seen.asleep)
    if before.main == seen.main and abs(before.asleep - seen.asleep) < SUSPEND_SECONDS:
        return Inactivity(process, before.since, before.acted, seen.main, seen.children, seen.asleep)
    return Inactivity(process, now, acted=True, main=seen.main, children=seen.children, asleep=seen.asleep)


def descendants_of(pid: int) -> list[int]:
    """Return the processes below process `pid`, at any depth."""
    return tree_of(pid, children_finder())[1:]
