"""Restart workers by an overlap: the successor starts first, and the earlier process drains once it consumes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from procman.backends.base import Controller, Progress
from procman.deploy.failure import Failure, last_lines, without_secrets
from procman.errors import ProcmanError
from procman.install.state.manifest import Manifest
from procman.keeper import OVERLAP_SECONDS
from procman.model import InstalledProgram, State
from procman.monitoring.draining import draining_by_program
from procman.monitoring.kept import BEGUN, DONE, REFUSED, Kept, kept_by
from procman.program_names import resolve

MARGIN_SECONDS = 20.0
"""Added to the time that the keeper allows its successor: to receive the order, and to report."""
ANSWER_SECONDS = 15.0
"""How long it may take until a keeper has received an order."""
PAUSE_SECONDS = 0.1
SLOT_PAUSE_SECONDS = 1.0
ENDING_SECONDS = 30.0
"""How long an earlier process without tasks may take to end."""
FAILED_SECONDS = 60.0
"""How long a rollback waits for a slot: the successor that failed is still being stopped."""

OVERLAPPED = "restarted by an overlap"


class NotOverlapping(ProcmanError):
    """The program is not running, or its process was started before the program could overlap."""


def require_overlap(manifest: Manifest, names: Sequence[str]) -> None:
    """Raise ProcmanError if a program that `names` select cannot overlap, or none can."""
    programs = resolve(manifest.project, manifest.programs, names)
    unable = [program.name for program in programs if not program.overlap_max]
    hint = "Set overlap = true in its [worker.NAME] and run `procman install`, or restart without --overlap."
    if names and unable:
        raise ProcmanError(f"{', '.join(unable)} cannot overlap", hint=hint)
    if len(unable) == len(programs):
        raise ProcmanError("no program overlaps", hint=hint)


def wait_for_slots(
    controller: Controller,
    manifest: Manifest,
    programs: Sequence[InstalledProgram],
    progress: Progress,
    seconds: float = float("inf"),
) -> None:
    """Wait until each of `programs` has a slot for a successor, or until `seconds` have passed.

    Call it without the lock if that may take hours.
    """
    deadline = time.monotonic() + seconds
    for program in programs:
        while (
            time.monotonic() < deadline
            and (kept := _kept(controller, manifest, program))
            and len(kept.others) >= program.overlap_max
        ):
            progress(f"{program.name}: waiting for one of {_listed(kept)} to finish its tasks")
            time.sleep(SLOT_PAUSE_SECONDS)


def without_slot(manifest: Manifest, controller: Controller, programs: Sequence[InstalledProgram]) -> list[str]:
    """Return a problem for each of `programs` that cannot overlap before one of its earlier processes has ended."""
    problems = []
    for program in programs:
        _let_idle_ones_end(controller, manifest, program)
        kept = _kept(controller, manifest, program)
        if kept and len(kept.others) >= program.overlap_max:
            problems.append(
                f"{program.name}: its change needs an overlap restart, and {_listed(kept)} still finish their tasks: "
                f"wait for one to end, or stop them: procman stop --draining {program.name}"
            )
    return problems


def _let_idle_ones_end(controller: Controller, manifest: Manifest, program: InstalledProgram) -> None:
    """Wait while an earlier process that runs no task takes the last slot: it ends within seconds."""
    deadline = time.monotonic() + ENDING_SECONDS
    while time.monotonic() < deadline:
        draining = [each for _, each in draining_by_program(manifest, controller, [program])]
        if len(draining) < program.overlap_max or all(each.busy != 0 for each in draining):
            return
        time.sleep(PAUSE_SECONDS)


def _kept(controller: Controller, manifest: Manifest, program: InstalledProgram) -> Kept | None:
    [state] = controller.states([program])
    return kept_by(manifest, program, state.pid)


def overlap(
    controller: Controller, manifest: Manifest, program: InstalledProgram, progress: Progress
) -> Failure | None:
    """Start the successor of `program` and wait until it consumes; return why the overlap failed, or None.

    Raises NotOverlapping.
    """
    _let_idle_ones_end(controller, manifest, program)
    kept = _require_keeper(controller, manifest, program)
    controller.order_overlap(program)
    found = _answer(controller, manifest, program, kept.number, progress)
    if found and found.outcome == DONE:
        return None
    reason = found.reason if found else "its keeper has not answered"
    if found and found.outcome == REFUSED:
        return Failure(
            program,
            f"was not restarted: {reason}",
            f"Wait for them: procman restart --overlap --wait-for-slot {program.name}\n"
            f"Or stop them: procman stop --draining {program.name}",
        )
    why = f"the overlap restart failed, and the earlier process still consumes: {reason}"
    failure = Failure(program, why, f"procman logs {program.name}", last_lines(controller, program))
    return without_secrets(failure, manifest)


def _require_keeper(controller: Controller, manifest: Manifest, program: InstalledProgram) -> Kept:
    [state] = controller.states([program])
    if state.state not in (State.RUNNING, State.STARTING) or state.pid is None:
        raise NotOverlapping(
            f"{program.name} is {state.state.value}, so it has no process that could overlap",
            hint=f"procman start {program.name}",
        )
    kept = kept_by(manifest, program, state.pid)
    if kept is None:
        raise NotOverlapping(
            f"{program.name}: its process {state.pid} has no keeper yet", hint=f"procman restart {program.name}"
        )
    return kept


def _answer(
    controller: Controller, manifest: Manifest, program: InstalledProgram, before: int, progress: Progress
) -> Kept | None:
    """Return what the keeper reports at the end of the overlap after number `before`; None if it does not answer."""
    began = time.monotonic()
    has_begun, pid = False, None
    while (elapsed := time.monotonic() - began) < OVERLAP_SECONDS + MARGIN_SECONDS:
        if pid is None or int(elapsed) % 5 == 0:
            [state] = controller.states([program])
            pid = state.pid
        kept = kept_by(manifest, program, pid)
        if kept and kept.number > before:
            if kept.outcome != BEGUN:
                return kept
            has_begun = True
        if not has_begun and elapsed > ANSWER_SECONDS:
            break
        if elapsed > 1:
            progress(f"{program.name}: its successor is starting, {elapsed:.0f} s of at most {OVERLAP_SECONDS} s")
        time.sleep(PAUSE_SECONDS)
    return None


def _listed(kept: Kept) -> str:
    number = len(kept.others)
    pids = ", ".join(str(each.pid) for each in kept.others)
    return f"process {pids}" if number == 1 else f"processes {pids}"


def stop_draining(controller: Controller, manifest: Manifest, program: InstalledProgram, progress: Progress) -> int:
    """Stop the earlier processes of `program` gracefully, within its stop timeout; return how many there were."""
    kept = _require_keeper(controller, manifest, program)
    pids = {each.pid for each in kept.others}
    if not pids:
        return 0
    controller.order_end_of_drain(program)
    began, limit = time.monotonic(), program.stop_timeout_seconds + MARGIN_SECONDS
    while pids & {each.pid for each in kept.others}:
        elapsed = time.monotonic() - began
        if elapsed > limit:
            raise ProcmanError(f"{program.name}: {_listed(kept)} did not end within {limit:.0f} s")
        progress(
            f"{program.name}: stopping {_listed(kept)}, {elapsed:.0f} s of at most {program.stop_timeout_seconds} s"
        )
        time.sleep(PAUSE_SECONDS)
        kept = _require_keeper(controller, manifest, program)
    return len(pids)
