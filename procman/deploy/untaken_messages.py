"""Warn after an install about a worker that is ready and has a free slot, but takes none of the messages that wait.

Nothing is rolled back for this (R4): the cause may be the broker or the messages, and the worker before may have taken
none either.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from procman.agent.verdict import CONSUMING
from procman.backends import controller_of
from procman.deploy.wait_until_healthy import TAKES_NO_MESSAGES
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, Kind
from procman.monitoring.checks.heartbeat import of_verdict
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.program_view import program_snapshots

if TYPE_CHECKING:
    from procman.deploy.rollout import RolloutOptions

PAUSE_SECONDS = 0.2

COUNTING_SECONDS = 2.0
"""How long a worker may take to ask the broker for the first time how many messages wait."""


def warn_of_untaken_messages(manifest: Manifest, names: Collection[str], options: RolloutOptions) -> None:
    """Report each worker in `names` that takes no message for its `stall_seconds`, although some wait.

    This returns at once if no message waits, or when each worker has received one. A worker whose `stall_seconds` is
    longer than `options.wait_seconds` is left to `procman health`.
    """
    patience = options.wait_seconds or 0
    workers = [
        each
        for each in manifest.programs
        if each.name in names and each.kind is Kind.WORKER and each.launcher and each.stall_seconds <= patience
    ]
    begun = time.monotonic()
    while workers:
        snapshots = _snapshots(manifest, workers)
        elapsed = time.monotonic() - begun
        undecided = [each for each in snapshots if takes_nothing_yet(each, elapsed)]
        if not undecided or elapsed > patience:
            break
        shown = ", ".join(each.program.name for each in undecided)
        options.reporter.progress(f"waiting for {shown} to take a message ({elapsed:.0f} of at most {patience:g} s)")
        time.sleep(PAUSE_SECONDS)
    for snapshot in _stalled(snapshots) if workers else ():
        _warn(snapshot, options)


def _snapshots(manifest: Manifest, workers: Sequence[InstalledProgram]) -> list[ProgramSnapshot]:
    return program_snapshots(manifest, workers, controller_of(manifest).states(workers), with_restarts=False)


def takes_nothing_yet(snapshot: ProgramSnapshot, elapsed: float) -> bool:
    """Return whether it is still unknown, after `elapsed` seconds, if a worker takes the messages that wait."""
    says = snapshot.says
    if not snapshot.is_up or says.get("phase") != CONSUMING or snapshot in _stalled([snapshot]):
        return False
    if says["finished"] or says["busy"] or says["reserved"]:
        return False
    if says["queues_asked"] is None:
        return elapsed < COUNTING_SECONDS
    return says["idle_with_messages_since"] is not None


def _stalled(snapshots: Sequence[ProgramSnapshot]) -> list[ProgramSnapshot]:
    return [each for each in snapshots if each.verdict and each.verdict.code == TAKES_NO_MESSAGES]


def _warn(snapshot: ProgramSnapshot, options: RolloutOptions) -> None:
    assert snapshot.verdict
    result = of_verdict(snapshot, snapshot.verdict)
    options.reporter.announce(f"WARNING {snapshot.program.name}: {result.detail} ({result.code})")
    options.reporter.announce("  nothing is rolled back for this; see procman logs and procman queues")
