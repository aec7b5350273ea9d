"""Find the processes of a worker that overlaps: the one that consumes, which counts as the program, and those that
drain. The keeper describes them in a file that is not trusted (S3): a process counts only if it is a child of the main
process that the process manager reports."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from procman.host.process import stat_fields
from procman.install.state.manifest import Manifest
from procman.model import SLOTS, InstalledProgram, ProgramState, RunHistory, State
from procman.monitoring.checks.inputs import KeptWorker
from procman.monitoring.keeper_state import keeper_state

STARTING, DRAINING = "starting", ("draining", "stopping")
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
    )


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


def is_child(pid: int, parent: int) -> bool:
    """Return whether process `pid` is a child of `parent`."""
    fields = stat_fields(pid)
    return bool(fields) and int(fields[PARENT]) == parent


def as_kept(
    manifest: Manifest, program: InstalledProgram, state: ProgramState
) -> tuple[ProgramState, Path, tuple[KeptWorker, ...]]:
    """Return the state of `program` with the process that consumes as its own, its run directory, and those that
    drain."""
    directory = manifest.directories.run(program.name)
    if not program.overlap_max:
        return state, directory, ()
    kept = kept_by(manifest, program, state.pid)
    state = state._replace(history=_with_ends(manifest, program, state, kept))
    if kept is None:
        return state, directory, ()
    if kept.current is None:
        is_due = bool(kept.others) and state.state in (State.RUNNING, State.STARTING)
        waiting = state._replace(state=State.BACKOFF, pid=None, since=None, detail=DUE)
        return waiting if is_due else state, directory, kept.others
    worker = kept.current
    since = time.time() - (time.monotonic() - worker.started)
    return state._replace(pid=worker.pid, since=since, clock_then=None), worker.directory, kept.others


def _with_ends(manifest: Manifest, program: InstalledProgram, state: ProgramState, kept: Kept | None) -> RunHistory:
    """Return the history of `state` with what the running keeper has noted since its start or its last overlap."""
    from procman.monitoring.kept_ends import combined, noted_ends

    noted = noted_ends(keeper_state(manifest, program))
    was_ordered = kept is not None and kept.number > 0 and kept.outcome == DONE
    ordered = time.time() - (time.monotonic() - kept.since) if kept and was_ordered else 0.0
    own = (each for each in noted if kept and each.keeper == state.pid and each.end.at >= ordered)
    return combined(state.history, noted, own)
