"""Find the processes of a worker that overlaps: the one that consumes, which counts as the program, and those that
drain. The keeper describes them in a file that is not trusted (S3): a process counts only if it is a child of the main
process that the process manager reports."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from procman.agent.slots import KEEPER
from procman.host.process import content, stat_fields
from procman.install.state.manifest import Manifest
from procman.model import SLOTS, InstalledProgram, ProgramState, RunHistory, State
from procman.monitoring.checks.inputs import FailedOverlap, Keeper, KeptWorker
from procman.monitoring.keeper_state import keeper_state

STARTING, CONSUMING, DRAINING = "starting", "consuming", ("draining", "stopping")
BEGUN, DONE, FAILED, REFUSED = "begun", "done", "failed", "refused"
DUE = "its process ended, and its keeper starts it again"
PARENT = 1
"""The index of the parent in the fields of /proc/PID/stat that begin with the state."""


class Kept(NamedTuple):
    """What a running keeper reports."""

    number: int
    """Of its last overlap."""
    outcome: str
    reason: str
    since: float
    """When that ended or began, by the monotonic clock."""
    current: KeptWorker | None
    others: tuple[KeptWorker, ...]
    """Those that drain or stop, the earliest first."""
    keeper: Keeper


class KeptView(NamedTuple):
    """A program as its keeper shows it."""

    state: ProgramState
    """With the process that consumes as its own."""
    directory: Path
    """The run directory of that process."""
    draining: tuple[KeptWorker, ...] = ()
    keeper: Keeper | None = None


def kept_by(manifest: Manifest, program: InstalledProgram, pid: int | None) -> Kept | None:
    """Return what the keeper of `program`, its main process `pid`, reports; None if that is no keeper."""
    try:
        return None if pid is None else _kept(manifest, program, pid, keeper_state(manifest, program))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _kept(manifest: Manifest, program: InstalledProgram, pid: int, state: Any) -> Kept | None:
    if state["pid"] != pid:
        return None
    known = [_worker(manifest, program, each) for each in state["workers"][: len(SLOTS)]]
    workers = [each for each in known if is_child(each.pid, pid)]
    overlap = state["overlap"]
    return Kept(
        number=int(overlap["number"]),
        outcome=_word(overlap["outcome"]),
        reason=_word(overlap["reason"]),
        since=float(overlap["since"]),
        current=next((each for each in workers if each.pid == state["current"]), None) or _starting(workers),
        others=tuple(sorted((each for each in workers if each.state in DRAINING), key=lambda each: each.since)),
        keeper=Keeper(pid, _number(state.get("written")), _failed(state.get("overlap_failed"))),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _failed(entry: Any) -> FailedOverlap | None:
    return entry and FailedOverlap(float(entry["at"]), _word(entry["outcome"]), _word(entry["reason"]))


def overlap_ended(manifest: Manifest, program: InstalledProgram, since: float) -> float:
    """Return when the overlap that was ordered after `since` ended, in seconds since the epoch, as in the keeper's own
    event; now, if the keeper has not reported it.
    """
    now, found = time.time(), keeper_state(manifest, program).get("overlap")
    at = found.get("at") if isinstance(found, dict) else None
    return at if isinstance(at, float) and since <= at <= now else now


def _starting(workers: Sequence[KeptWorker]) -> KeptWorker | None:
    """Return the successor of a process that has ended during an overlap."""
    return next((each for each in workers if each.state == STARTING), None)


def _worker(manifest: Manifest, program: InstalledProgram, entry: Mapping[str, Any]) -> KeptWorker:
    slot = str(entry["slot"])
    directory = manifest.directories.runs(program.name, len(SLOTS) - 1)[SLOTS.index(slot)]
    moments = float(entry["started"]), float(entry["since"])
    return KeptWorker(slot, int(entry["pid"]), _word(entry["state"]), *moments, directory)


def _word(text: object) -> str:
    return "".join(each if each.isprintable() else "?" for each in str(text)[:500])


def is_keeper(manifest: Manifest, pid: int) -> bool:
    """Return whether process `pid` is a keeper; True if its command line cannot be seen.

    Not by its report: while that cannot be read, an order to restart would cut tasks that an overlap would not.
    """
    try:
        words = os.fsdecode(content(pid, "cmdline")).split("\0")
    except OSError:
        return True
    return words == [""] or str(manifest.directories.library / KEEPER) in words


def is_child(pid: int, parent: int) -> bool:
    """Return whether process `pid` is a child of `parent`."""
    fields = stat_fields(pid)
    return bool(fields) and int(fields[PARENT]) == parent


def as_kept(manifest: Manifest, program: InstalledProgram, state: ProgramState) -> KeptView:
    """Return what the keeper of `program`, whose `state` the process manager reports, shows of it."""
    directory = manifest.directories.run(program.name)
    if not program.overlap_max:
        return KeptView(state, directory)
    kept = kept_by(manifest, program, state.pid)
    state = state._replace(history=_with_ends(manifest, program, state, kept))
    earlier = _earlier(manifest, program, state, kept)
    if kept is None:
        return KeptView(state, directory, earlier)
    if kept.current is None:
        is_due = bool(kept.others) and state.state in (State.RUNNING, State.STARTING)
        waiting = state._replace(state=State.BACKOFF, pid=None, since=None, detail=DUE)
        return KeptView(waiting if is_due else state, directory, earlier, kept.keeper)
    worker = kept.current
    since = time.time() - (time.monotonic() - worker.started)
    state = state._replace(pid=worker.pid, since=since, clock_then=None)
    return KeptView(state, worker.directory, earlier, kept.keeper)


def earlier_processes(manifest: Manifest, program: InstalledProgram, state: ProgramState) -> tuple[KeptWorker, ...]:
    """Return the processes of `program` that finish their tasks, even if their keeper has died; the earliest first."""
    return _earlier(manifest, program, state, kept_by(manifest, program, state.pid))


def _earlier(
    manifest: Manifest, program: InstalledProgram, state: ProgramState, kept: Kept | None
) -> tuple[KeptWorker, ...]:
    # Without the process manager's answer, its main process could be taken for one that it does not know.
    from procman.monitoring.outlived import outlived_by

    outlived = () if state.state is State.UNKNOWN else outlived_by(manifest, program, state.pid)
    return (*outlived, *(kept.others if kept else ()))


def _with_ends(manifest: Manifest, program: InstalledProgram, state: ProgramState, kept: Kept | None) -> RunHistory:
    """Return the history of `state` with what the running keeper has noted since its start or its last overlap."""
    from procman.monitoring.kept_ends import combined, noted_ends

    noted = noted_ends(keeper_state(manifest, program))
    was_ordered = kept is not None and kept.number > 0 and kept.outcome == DONE
    ordered = time.time() - (time.monotonic() - kept.since) if kept and was_ordered else 0.0
    own = (each for each in noted if kept and each.keeper == state.pid and each.end.at >= ordered)
    return combined(state.history, noted, own)
