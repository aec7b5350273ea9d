"""Recognise a program whose runs all end before it is healthy, for PM101."""

from __future__ import annotations

from procman.agent.verdict import AT_WORK, DISCONNECTED
from procman.model import Kind, State
from procman.monitoring.checks.inputs import ProgramSnapshot

HAS_WORKED = (*AT_WORK, DISCONNECTED)
"""The phases of a process that has been healthy, if only for a moment: one that has never connected is starting."""

NOT_UP = (State.STARTING, State.BACKOFF, State.EXITED, State.FATAL)


def is_in_crash_loop(snapshot: ProgramSnapshot) -> bool:
    """Return whether the last runs of the program ended early, and it has not been healthy since.

    Without a heartbeat, it is healthy once the process manager counts it as started.
    """
    if not snapshot.state.desired or not snapshot.state.history.failures:
        return False
    if not snapshot.program.launcher or snapshot.program.kind not in (Kind.WORKER, Kind.BEAT):
        return snapshot.state.state in NOT_UP
    is_unknown = snapshot.state.pid is not None and bool(snapshot.heartbeat.problem)
    return not is_unknown and snapshot.says.get("phase") not in HAS_WORKED


def describe(snapshot: ProgramSnapshot) -> str:
    """Return how the last run of a program in a crash loop ended, and the last line of its error if known."""
    history = snapshot.state.history
    how = history.ends[-1].how if history.ends else "unknown"
    error = f": {snapshot.last_error}" if snapshot.last_error else ""
    if history.failures == 1:
        return f"it ended before it was healthy ({how}){error}"
    return f"crash loop: it ended {history.failures} times in a row before it was healthy (last: {how}){error}"
