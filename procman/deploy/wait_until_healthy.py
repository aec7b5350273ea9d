"""Waits for programs to become healthy, each for a limited time from the start of its process (R4)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from procman.agent.process_end import EXIT_STATUS
from procman.backends.base import Controller, Progress
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, Kind, Level, ProgramState, Result, State
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.checks.quick import check_lightly, is_at_work
from procman.monitoring.program_view import EXIT_CANNOT_START, program_snapshots

CANNOT_TELL_ALL, TAKES_NO_MESSAGES = "PM204", "PM301"

SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 1.0


@dataclass(frozen=True)
class Unhealthy:
    """A program that did not become healthy in time."""

    program: InstalledProgram
    state: ProgramState
    result: Result


def wait_until_healthy(
    controller: Controller,
    programs: Sequence[InstalledProgram],
    seconds: float,
    progress: Progress,
    manifest: Manifest,
    *,
    until_started: bool = True,
) -> list[Unhealthy]:
    """Return the programs that are not healthy `seconds` after their start, in order.

    Returns early if all are healthy or none can become healthy any more. A program is healthy if it is RUNNING with
    healthy processes and its heartbeat reports a worker that Celery calls ready and that consumes, or a beat that ticks
    or is on standby; without a heartbeat, or if its heartbeat cannot report this, the state is enough. Without
    `until_started`, a program whose heartbeat reports its work is healthy while supervisord still has it in STARTING.
    Programs stopped on purpose are not waited for. A worker that is ready and takes no messages counts as healthy:
    whether that is the fault of what is installed is unknown (`untaken_messages`).
    """
    begun = time.monotonic()
    pause = SHORTEST_PAUSE_SECONDS
    while True:
        waiting = _unhealthy(controller, programs, manifest, until_started)
        elapsed = time.monotonic() - begun
        hopeful = [each for each in waiting if not is_hopeless(each.state)]
        if not hopeful or elapsed > seconds:
            return waiting
        names = ", ".join(each.program.name for each in hopeful)
        progress(f"waiting for {names} to become healthy ({elapsed:.0f} of at most {seconds:g} s)")
        time.sleep(pause)
        pause = min(LONGEST_PAUSE_SECONDS, pause * 1.5)


def is_hopeless(state: ProgramState) -> bool:
    """Return whether waiting is useless: the program was given up, or its launcher refuses, as for a bad variable."""
    ends = state.history.unordered
    is_refused = bool(ends) and ends[-1].how == f"{EXIT_STATUS}{EXIT_CANNOT_START}"
    return state.state is State.FATAL or (state.state is State.BACKOFF and is_refused)


def _unhealthy(
    controller: Controller, programs: Sequence[InstalledProgram], manifest: Manifest, until_started: bool
) -> list[Unhealthy]:
    snapshots = program_snapshots(manifest, programs, controller.states(programs))
    patience = 2.0 * manifest.health.heartbeat_seconds
    found = []
    for each, result in zip(snapshots, check_lightly(snapshots), strict=True):
        if not each.state.desired:
            continue
        if not (_is_healthy(result) and _is_at_work(each, patience)):
            found.append(Unhealthy(each.program, each.state, result))
        elif until_started and each.state.state is not State.RUNNING:
            detail = f"it works, but has not been up for its start_seconds ({each.program.start_seconds}) yet"
            early = result._replace(level=Level.WARNING, detail=detail)
            found.append(Unhealthy(each.program, each.state, early))
    return found


def _is_healthy(result: Result) -> bool:
    # Waiting does not help if this Celery, pool or scheduler cannot report more.
    return result.level in (Level.OK, Level.UNKNOWN) or result.code in (CANNOT_TELL_ALL, TAKES_NO_MESSAGES)


def _is_at_work(snapshot: ProgramSnapshot, patience: float) -> bool:
    if snapshot.says or snapshot.program.kind is Kind.COMMAND or not snapshot.program.launcher:
        return is_at_work(snapshot)
    # A program writes its first heartbeat as it starts; after this long without one, none will come.
    since = snapshot.state.since
    return is_at_work(snapshot) and (since is None or time.time() - since > patience)
