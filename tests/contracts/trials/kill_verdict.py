"""The verdict on kills: whether each task that was sent is done, runs again or is listed as lost.

Computed from the store alone: what the tasks wrote there, and when the test killed their workers. The order is that of
the lines, not of a clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

GONE, MAY_HAVE_FINISHED, HAD_NOT_BEGUN = "gone", "may have finished", "had not begun"
LOST = frozenset({GONE, MAY_HAVE_FINISHED, HAD_NOT_BEGUN})
"""Outcomes of a task that nothing runs again."""
RUNS_AGAIN = frozenset({"redelivered", "sent again", "handed back"})
POOL_CHILD, CHILD_WITHOUT_MEMORY = "pool child", "pool child out of memory"
WHOLE_TREE, REBOOT = "whole tree", "reboot"
LEAVE_NO_DOUBT = frozenset({POOL_CHILD, CHILD_WITHOUT_MEMORY})
"""Kinds of kills after which the main process still knows how far each task of the killed one had come."""
NOTICED_SECONDS = 10.0
"""How long Celery may take to notice that a pool process is dead: it looks every five seconds. The end of the process
can wake it earlier, but often a moment too early, before the kernel reports that it has ended."""


@dataclass
class Run:
    """One run of a task: the lines at which it came so far; None: it did not."""

    task_id: str
    begins: int
    """Celery begins to prepare the call of the task."""
    began: int | None = None
    """The first line of the task."""
    ended: int | None = None
    """The last line of the task."""
    reported: int | None = None
    """Celery has begun to report the end."""


@dataclass
class Kill:
    """A kill of a worker, or of a process of its."""

    worker: str
    number: int
    before: int
    """The line before the signal."""
    after: int | None = None
    """A line when the process was gone."""
    at: float = 0.0
    """The time of that line, in seconds since the epoch."""
    kind: str = ""


@dataclass
class Store:
    """The content of the store."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    """By task id, in the order of their begins."""
    kills: dict[str, list[Kill]] = field(default_factory=dict)
    """By worker, in their order."""

    def has_ended(self, task_id: str) -> bool:
        return any(run.ended is not None for run in self.runs.get(task_id, ()))


class Listed(NamedTuple):
    """A task as procman listed it."""

    worker: str
    task_id: str
    outcome: str
    started: float
    """In seconds since the epoch."""


class Sent(NamedTuple):
    """A task, as its sender knows it."""

    worker: str
    is_delivered_once: bool = True
    """No worker gets its message while another may still have it; Redis does that after the visibility timeout."""


def stored(lines: Iterable[str]) -> Store:
    """Return the content of a store.

    Its lines are `begins ID RUN`, `began ID RUN`, `ended ID RUN` and `reported ID RUN`, and by the test `kill WORKER
    NUMBER` before a signal, and `killed WORKER NUMBER TIME KIND` when the process was gone.
    """
    store, runs, kills = Store(), dict[str, Run](), dict[tuple[str, int], Kill]()
    for place, line in enumerate(lines):
        what, name, own, *more = line.split(maxsplit=4)
        if what == "kill":
            kill = kills[name, int(own)] = Kill(name, int(own), place)
            store.kills.setdefault(name, []).append(kill)
        elif what == "killed":
            kill = kills[name, int(own)]
            kill.after, kill.at, kill.kind = place, float(more[0]), more[1]
        elif what == "begins":
            run = runs[own] = Run(name, place)
            store.runs.setdefault(name, []).append(run)
        else:
            setattr(runs[own], what, place)
    return store


def violations(
    sent: Mapping[str, Sent], store: Store, listed: Iterable[Listed], lost_by_broker: Collection[str] = ()
) -> list[str]:
    """Return the faults of `listed`, in the order in which procman listed the tasks, possibly several times.

    The brokers must have had time to deliver again, and no worker may be at work. `lost_by_broker`: tasks of which the
    broker has lost a message, so that nothing could run them again.
    """
    entries: dict[str, list[Listed]] = {}
    for each in listed:
        entries.setdefault(each.task_id, []).append(each)
    found = [f"{task_id}: listed, but never sent" for task_id in sorted(entries.keys() - sent.keys())]
    for task_id, task in sorted(sent.items()):
        account = _Account(task_id, task, store, entries.get(task_id, []), task_id in lost_by_broker)
        found += [f"{task_id}: {what}" for what in dict.fromkeys(account.wrong())]
    return found


class _Account:
    """All that the store shows of one task."""

    def __init__(self, task_id: str, task: Sent, store: Store, entries: list[Listed], is_lost: bool) -> None:
        self.task, self.store, self.entries, self.is_lost = task, store, entries, is_lost
        self.runs = store.runs.get(task_id, [])
        self.kills = store.kills.get(task.worker, [])
        self.has_ended = store.has_ended(task_id)

    def wrong(self) -> Iterator[str]:
        for entry in self.entries:
            if entry.outcome not in LOST | RUNS_AGAIN:
                yield f"listed with the unknown outcome {entry.outcome}"
            elif entry.worker != self.task.worker:
                yield f"listed for {entry.worker}, which cannot have had it"
            elif (kill := self._kill_of(entry)) is None:
                yield f"listed as {entry.outcome}, but no kill followed its start"
            else:
                yield from self._wrong(entry, kill)
        yield from self._wrong_in_sum()

    def _wrong(self, entry: Listed, kill: Kill) -> Iterator[str]:
        where = f"listed as {entry.outcome} by kill {kill.number} ({kill.kind}), but"
        interrupted = self._begun_by(kill)
        runs_later = any(run.begins > _end(kill) for run in self.runs)
        if entry.outcome == GONE:
            if not interrupted:
                yield f"{where} it had not begun"
            elif all(run.reported is not None for run in interrupted):
                yield f"{where} it has ended"
        if entry.outcome == HAD_NOT_BEGUN and any(run.began is not None for run in interrupted):
            yield f"{where} it had begun"
        if entry.outcome in (GONE, HAD_NOT_BEGUN) and runs_later and self.task.is_delivered_once:
            yield f"{where} it ran again"
        # Its next run may have begun before the test had seen the end of the process.
        runs_again = any(run.begins > kill.before for run in self.runs)
        if entry.outcome in RUNS_AGAIN and not (runs_again or self.is_lost or self._is_lost_after(kill)):
            yield f"{where} it was not run again"
        leaves_no_doubt = kill.kind in LEAVE_NO_DOUBT and not self._is_cut_short_by_reboot(kill)
        if entry.outcome == MAY_HAVE_FINISHED and leaves_no_doubt and self._is_last(entry):
            was_cut = [run.began is not None and run.ended is None for run in interrupted]
            if was_cut and all(was_cut):
                yield f"{where} it was known that it had not"

    def _is_cut_short_by_reboot(self, kill: Kill) -> bool:
        """Return whether a reboot followed before the main process had to notice the death of its pool process."""
        following = next((each for each in self.kills if each.before > kill.before), None)
        return following is not None and following.kind == REBOOT and following.at - kill.at < NOTICED_SECONDS

    def _is_last(self, entry: Listed) -> bool:
        """Return whether this is what procman listed last of this run."""
        return [each for each in self.entries if each.started == entry.started][-1] is entry

    def _wrong_in_sum(self) -> Iterator[str]:
        outcomes = Counter(entry.outcome for entry in self.entries)
        if self.has_ended or self.is_lost or LOST & outcomes.keys():
            return
        if outcomes:
            yield f"listed as {', '.join(sorted(outcomes))}, but it was not run again to its end"
        else:
            yield "neither done nor listed"

    def _kill_of(self, entry: Listed) -> Kill | None:
        """Return the kill that interrupted what `entry` is about: the first since its start."""
        return next((kill for kill in self.kills if kill.after is not None and kill.at >= entry.started), None)

    def _begun_by(self, kill: Kill) -> list[Run]:
        """Return the runs that began since the kill before, and not after `kill`."""
        before = [each.before for each in self.kills if each.before < kill.before]
        return [run for run in self.runs if (before[-1] if before else -1) < run.begins < _end(kill)]

    def _is_lost_after(self, kill: Kill) -> bool:
        """Return whether the task was listed as lost by a later kill."""
        later = (self._kill_of(entry) for entry in self.entries if entry.outcome in LOST)
        return any(each is not None and each.before > kill.before for each in later)


def _end(kill: Kill) -> int:
    assert kill.after is not None
    return kill.after
