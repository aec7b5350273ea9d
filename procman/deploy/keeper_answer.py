"""Ask the keeper of a worker that overlaps, and wait for its answer to an order."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from procman.backends.base import Controller, Progress
from procman.errors import ProcmanError
from procman.host.process import identity, stat_fields
from procman.host.write_problem import WriteProblem, write_problem
from procman.install.state.manifest import Manifest
from procman.keeper import OVERLAP_SECONDS
from procman.model import InstalledProgram, State
from procman.monitoring.keeper_state import unusable_state
from procman.monitoring.kept import BEGUN, Kept, is_keeper, kept_by

MARGIN_SECONDS = 20.0
"""Added to the time that the keeper allows its successor: to receive the order, and to report."""
ANSWER_SECONDS = 15.0
"""How long it may take until a keeper has received an order."""
REPORT_SECONDS = 5.0
"""How long a keeper that has just been started may take to report."""
PAUSE_SECONDS = 0.1
STOPPED, ZOMBIE = b"T", b"Z"
"""States of a process (proc(5))."""


class NotOverlapping(ProcmanError):
    """The program is not running, or its process was started before the program could overlap."""


class KeeperUnusable(ProcmanError):
    """The program has a keeper that cannot be given an order now; nothing has changed."""

    def __init__(self, program: InstalledProgram, pid: int, why: str, hint: str) -> None:
        graceful = f"Or restart it without an overlap, within its stop timeout: procman restart {program.name}"
        self.why = f"its keeper, process {pid}, cannot be given an order: {why}"
        super().__init__(f"{program.name}: {self.why}", hint="\n".join(filter(None, (hint, graceful))))


class NoAnswer(ProcmanError):
    """The keeper has been given an order and has not reported its end."""


class Keeper(NamedTuple):
    """A running keeper and what it reports."""

    pid: int
    process: str
    """Its `identity`."""
    kept: Kept


def require_keeper(controller: Controller, manifest: Manifest, program: InstalledProgram) -> Keeper:
    """Return the keeper of `program`; raise NotOverlapping if it has none, and KeeperUnusable."""
    [state] = controller.states([program])
    if state.state not in (State.RUNNING, State.STARTING) or state.pid is None:
        raise NotOverlapping(
            f"{program.name} is {state.state.value}, so it has no process that could overlap",
            hint=f"procman start {program.name}",
        )
    pid, process = state.pid, identity(state.pid)
    deadline = time.monotonic() + REPORT_SECONDS
    while (kept := kept_by(manifest, program, pid)) is None:
        if not is_keeper(manifest, pid):
            raise NotOverlapping(
                f"{program.name}: its process {pid} has no keeper yet", hint=f"procman restart {program.name}"
            )
        problem = unwritable(manifest, program, pid)
        if problem or time.monotonic() > deadline:
            why = problem.reason if problem else unusable_state(manifest, program, pid)
            raise KeeperUnusable(program, pid, why, problem.hint if problem else "")
        time.sleep(PAUSE_SECONDS)
    return Keeper(pid, process, kept)


def wait_for_earlier_order(
    controller: Controller, manifest: Manifest, program: InstalledProgram, progress: Progress
) -> None:
    """Wait for the end of an overlap that a signal or another command has ordered; raises what `require_keeper` raises.

    The keeper carries out a further order only then.
    """
    deadline = time.monotonic() + OVERLAP_SECONDS + MARGIN_SECONDS
    while time.monotonic() < deadline:
        keeper = require_keeper(controller, manifest, program)
        if keeper.kept.outcome != BEGUN or is_suspended(keeper):
            return
        progress(f"{program.name}: waiting for the end of the overlap restart that was ordered before")
        time.sleep(PAUSE_SECONDS)


def require_writable(manifest: Manifest, program: InstalledProgram, keeper: Keeper) -> None:
    """Raise KeeperUnusable if neither the keeper nor a successor could report, and so an overlap would fail."""
    if problem := unwritable(manifest, program, keeper.pid):
        raise KeeperUnusable(program, keeper.pid, problem.reason, problem.hint)


def unwritable(manifest: Manifest, program: InstalledProgram, pid: int) -> WriteProblem | None:
    """Return why a run directory of `program` cannot be written to by its keeper `pid`."""
    own, *further = manifest.directories.runs(program.name, program.overlap_max)
    # An install that raises overlap_max is about to create some of them.
    directories = [own, *(each for each in further if os.path.lexists(each))]
    found = (write_problem(each, program.user, pid) or _full(each) for each in directories)
    return next((each for each in found if each), None)


def _full(directory: Path) -> WriteProblem | None:
    try:
        space = os.statvfs(directory)
    except OSError:
        return None
    is_full = (space.f_blocks and not space.f_bavail) or (space.f_files and not space.f_favail)
    return WriteProblem(f"the file system of {directory} is full", f"df {directory}") if is_full else None


def answer(manifest: Manifest, program: InstalledProgram, keeper: Keeper, progress: Progress) -> Kept:
    """Return what `keeper` reports at the end of the overlap that it has just been ordered; raise NoAnswer."""
    began = time.monotonic()
    while True:
        # Before the look: its last word may be about its own end.
        has_ended = has_exited(keeper)
        kept = kept_by(manifest, program, keeper.pid)
        has_begun = kept is not None and kept.number > keeper.kept.number
        if kept and has_begun and kept.outcome != BEGUN:
            return kept
        elapsed = time.monotonic() - began
        limit = OVERLAP_SECONDS + MARGIN_SECONDS if has_begun else ANSWER_SECONDS
        if has_ended or elapsed > limit:
            raise _ended(program, keeper) if has_ended else _pending(program, keeper, limit)
        if elapsed > 1:
            progress(f"{program.name}: its successor is starting, {elapsed:.0f} s of at most {OVERLAP_SECONDS} s")
        time.sleep(PAUSE_SECONDS)


def has_exited(keeper: Keeper) -> bool:
    """Return whether `keeper` has ended, even if its parent has not noticed."""
    return identity(keeper.pid) != keeper.process or stat_fields(keeper.pid)[:1] == [ZOMBIE]


def is_suspended(keeper: Keeper) -> bool:
    """Return whether a signal has suspended `keeper`."""
    return stat_fields(keeper.pid)[:1] == [STOPPED]


def _ended(program: InstalledProgram, keeper: Keeper) -> NoAnswer:
    return NoAnswer(
        f"the overlap restart failed: its keeper, process {keeper.pid}, has ended meanwhile, and its worker consumes "
        "no more; the process manager starts the program again",
        hint=f"See what has become of it: procman status {program.name}\nprocman logs {program.name}",
    )


def _pending(program: InstalledProgram, keeper: Keeper, seconds: float) -> NoAnswer:
    is_frozen = is_suspended(keeper)
    why = f"process {keeper.pid} is suspended by a signal" if is_frozen else f"process {keeper.pid}"
    hints = [f"Let it continue: kill -CONT {keeper.pid}"] if is_frozen else []
    hints += [
        f"Then see whether it overlaps: procman status {program.name}",
        f"To withdraw the order, restart the program within its stop timeout: procman restart {program.name}",
    ]
    return NoAnswer(
        f"its keeper has not answered within {seconds:.0f} s ({why}); the order is pending: it is carried out as soon "
        "as the keeper continues, and until then the earlier process is not stopped",
        hint="\n".join(hints),
    )
