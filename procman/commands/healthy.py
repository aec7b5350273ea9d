"""Waits until programs are healthy; the clock of each runs from the start of its new process (R4)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from procman.backends.base import Controller, Progress
from procman.checks.process import check_processes
from procman.model import InstalledProgram, Level, ProgramState, Result, State

SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 1.0


@dataclass(frozen=True)
class Unhealthy:
    """A program that did not become healthy in time."""

    program: InstalledProgram
    state: ProgramState
    result: Result


def wait_until_healthy(
    controller: Controller, programs: Sequence[InstalledProgram], seconds: float, progress: Progress
) -> list[Unhealthy]:
    """Return what is not healthy SECONDS after its start, in order; as soon as all are, or none can become it any more.

    Healthy is RUNNING with an OK from the check of its processes. One that is stopped on purpose is not waited for.
    """
    begun = time.monotonic()
    pause = SHORTEST_PAUSE_SECONDS
    while True:
        waiting = _unhealthy(controller, programs)
        elapsed = time.monotonic() - begun
        hopeful = [each for each in waiting if each.state.state is not State.FATAL]
        if not hopeful or elapsed > seconds:
            return waiting
        names = ", ".join(each.program.name for each in hopeful)
        progress(f"waiting for {names} to become healthy, {elapsed:.0f} s of at most {seconds:g} s")
        time.sleep(pause)
        pause = min(LONGEST_PAUSE_SECONDS, pause * 1.5)


def _unhealthy(controller: Controller, programs: Sequence[InstalledProgram]) -> list[Unhealthy]:
    states = controller.states(programs)
    results = check_processes(programs, states)
    return [
        Unhealthy(program, state, result)
        for program, state, result in zip(programs, states, results, strict=True)
        if state.wanted and result.level is not Level.OK
    ]
