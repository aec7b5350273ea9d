"""Restart workers by an overlap: the successor starts first, and the earlier process drains once it consumes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from procman.backends.base import Controller, Progress
from procman.deploy.failure import Failure, last_lines, without_secrets
from procman.deploy.keeper_answer import (
    MARGIN_SECONDS,
    PAUSE_SECONDS,
    Keeper,
    KeeperUnusable,
    NoAnswer,
    NotOverlapping,
    answer,
    has_exited,
    is_suspended,
    require_keeper,
    require_writable,
    wait_for_earlier_order,
)
from procman.errors import ProcmanError
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram
from procman.monitoring.checks.inputs import KeptWorker
from procman.monitoring.draining import draining_by_program
from procman.monitoring.kept import CONSUMING, DONE, REFUSED, Kept, earlier_processes
from procman.program_names import resolve

SLOT_PAUSE_SECONDS = 1.0
ENDING_SECONDS = 30.0
"""How long an earlier process without tasks may take to end."""
FAILED_SECONDS = 60.0
"""How long a rollback waits for a slot: the successor that failed is still being stopped."""

OVERLAPPED = "restarted by an overlap"


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
            and len(earlier := _earlier(controller, manifest, program)) >= program.overlap_max
        ):
            progress(f"{program.name}: waiting for one of {_listed(earlier)} to finish its tasks")
            time.sleep(SLOT_PAUSE_SECONDS)


def without_slot(
    manifest: Manifest, controller: Controller, programs: Sequence[InstalledProgram], *, waits: bool = True
) -> list[str]:
    """Return a problem for each of `programs` that cannot overlap now: before one of its earlier processes has ended,
    or because its keeper cannot be given an order. If it `waits`, those that are ending have seconds to do so."""
    problems = []
    for program in programs:
        if waits:
            _let_idle_ones_end(controller, manifest, program)
        try:
            require_writable(manifest, program, require_keeper(controller, manifest, program))
        except NotOverlapping:
            continue  # it is started, or restarted without an overlap
        except KeeperUnusable as error:
            problems.append(error.in_one_line.replace("\n", "; "))
            continue
        earlier = _earlier(controller, manifest, program)
        if len(earlier) >= program.overlap_max:
            finish = "finishes its" if len(earlier) == 1 else "finish their"
            problems.append(
                f"{program.name}: its change needs an overlap restart, and {_listed(earlier)} still {finish} tasks"
                f": wait for one to end, or stop them: procman stop --draining {program.name}"
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


def _earlier(controller: Controller, manifest: Manifest, program: InstalledProgram) -> Sequence[KeptWorker]:
    [state] = controller.states([program])
    return earlier_processes(manifest, program, state)


def overlap(
    controller: Controller, manifest: Manifest, program: InstalledProgram, progress: Progress
) -> Failure | None:
    """Start the successor of `program` and wait until it consumes; return why the overlap failed, or None.

    Raises NotOverlapping.
    """
    try:
        wait_for_earlier_order(controller, manifest, program, progress)
        _let_idle_ones_end(controller, manifest, program)
        keeper = require_keeper(controller, manifest, program)
        require_writable(manifest, program, keeper)
    except KeeperUnusable as error:
        return Failure(program, f"was not restarted: {error.why}", error.hint)
    controller.order_overlap(program)
    try:
        found = answer(manifest, program, keeper, progress)
    except NoAnswer as error:
        return without_secrets(_unanswered(controller, program, keeper, error), manifest)
    if found.outcome == DONE:
        return None
    if found.outcome == REFUSED:
        return Failure(
            program,
            f"was not restarted: {found.reason}",
            f"Wait for them: procman restart --overlap --wait-for-slot {program.name}\n"
            f"Or stop them: procman stop --draining {program.name}",
        )
    still = ", and the earlier process still consumes" if _consumes_still(keeper.kept, found) else ""
    why = f"the overlap restart failed{still}: {found.reason}"
    failure = Failure(program, why, f"procman logs {program.name}", last_lines(controller, program))
    return without_secrets(failure, manifest)


def _unanswered(controller: Controller, program: InstalledProgram, keeper: Keeper, error: NoAnswer) -> Failure:
    log = last_lines(controller, program)
    if not has_exited(keeper) and (why := controller.failed_order(program)):
        return Failure(program, f"was not restarted: {why}", f"procman logs {program.name}", log)
    return Failure(program, error.message, error.hint, log)


def _consumes_still(before: Kept, after: Kept) -> bool:
    earlier, current = before.current, after.current
    return bool(earlier and current and earlier.pid == current.pid and current.state == CONSUMING)


def _listed(earlier: Sequence[KeptWorker]) -> str:
    pids = ", ".join(str(each.pid) for each in earlier)
    return f"process {pids}" if len(earlier) == 1 else f"processes {pids}"


def stop_draining(controller: Controller, manifest: Manifest, program: InstalledProgram, progress: Progress) -> int:
    """Stop the earlier processes of `program` gracefully, within its stop timeout; return how many there were."""
    keeper = require_keeper(controller, manifest, program)
    kept, pids = keeper.kept, {each.pid for each in keeper.kept.others}
    if not pids:
        return 0
    controller.order_end_of_drain(program)
    began, limit = time.monotonic(), program.stop_timeout_seconds + MARGIN_SECONDS
    while pids & {each.pid for each in kept.others}:
        elapsed = time.monotonic() - began
        if elapsed > limit:
            raise _undrained(program, keeper, f"{_listed(kept.others)} did not end within {limit:.0f} s")
        most = program.stop_timeout_seconds
        progress(f"{program.name}: stopping {_listed(kept.others)}, {elapsed:.0f} s of at most {most} s")
        time.sleep(PAUSE_SECONDS)
        kept = require_keeper(controller, manifest, program).kept
    return len(pids)


def _undrained(program: InstalledProgram, keeper: Keeper, why: str) -> ProcmanError:
    if not is_suspended(keeper):
        return ProcmanError(f"{program.name}: {why}")
    return ProcmanError(
        f"{program.name}: {why}: its keeper, process {keeper.pid}, is suspended by a signal, and stops them as soon as "
        "it continues",
        hint=f"kill -CONT {keeper.pid}",
    )
