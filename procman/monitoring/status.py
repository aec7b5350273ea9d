"""Collect the status of a project from the process manager, the processes and the files on disk."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from procman.backends import controller_of
from procman.background import Background
from procman.install.plan.drift import differences
from procman.install.safe_fs.tree import Tree
from procman.install.state.holds import Hold, read_holds
from procman.install.state.manifest import Manifest, Pending
from procman.lookup import Installed
from procman.model import InstalledProgram, Level, ProgramState, Result, State
from procman.monitoring.checks.inputs import FailedOverlap
from procman.monitoring.draining import Draining, draining_of
from procman.monitoring.states import states_of
from procman.program_names import resolve


class ProgramStatus(NamedTuple):
    """One row: a program, its state and its most severe result."""

    program: InstalledProgram
    state: ProgramState
    result: Result
    restart_due: str
    """Why a restart is due, or empty."""
    is_started: bool
    """Whether it runs; under supervisord also while STARTING, once its heartbeat shows that it works."""
    hold: Hold | None = None
    """An administrator's order not to heal it."""
    queued: int | None = None
    """Messages that wait in its queues, as its heartbeat reported last; None: unknown."""
    says: Mapping[str, Any] = MappingProxyType({})
    """Its heartbeat; empty if there is none."""
    draining: tuple[Draining, ...] = ()
    """The earlier processes of a worker that overlaps, which finish their tasks."""
    overlap_failed: FailedOverlap | None = None
    """Its last overlap restart, unless that succeeded."""
    reported: ProgramState | None = None
    """Its state as the process manager reports it, for which the keeper is the main process."""


class ProjectStatus(NamedTuple):
    """The status of a project at one moment."""

    manifest: Manifest
    generation: int
    at: float
    """Seconds since the epoch."""
    programs: tuple[ProgramStatus, ...]
    differences: tuple[str, ...]
    """How the files and procman.toml differ from the installed generation; empty: in sync."""
    pending: tuple[str, ...]
    """The steps that an interrupted install or uninstall has left."""
    is_half_removed: bool = False
    """Whether an uninstall was interrupted."""
    results: tuple[Result, ...] = ()
    """Problems of the project as a whole."""

    @property
    def exit_status(self) -> int:
        """0, or 3 if a program that should run has not started, or 4 if the state of one is unknown (U2).

        Also 3 if an uninstall was interrupted.
        """
        if self.is_half_removed:
            return 3
        desired = [each for each in self.programs if each.state.desired]
        if self.unknown:
            return 4
        return 0 if all(each.is_started for each in desired) else 3

    @property
    def unknown(self) -> tuple[str, ...]:
        """The programs that should run and whose state is unknown."""
        return tuple(each.program.name for each in self.programs if each.state.desired and _is_unknown(each))

    @property
    def failed(self) -> tuple[str, ...]:
        """The programs that should run and do not, or whose condition is CRITICAL."""
        return tuple(each.program.name for each in self.programs if each.state.desired and _has_failed(each))


def _is_unknown(each: ProgramStatus) -> bool:
    return each.state.state is State.UNKNOWN


def _has_failed(each: ProgramStatus) -> bool:
    is_down = each.state.state in (State.STOPPED, State.EXITED, State.FATAL, State.BACKOFF)
    return is_down or each.result.level is Level.CRITICAL


def status(installed: Installed, names: Sequence[str]) -> ProjectStatus:
    """Return the status of the programs in `names`; renders nothing, and ends within the controller's timeout."""
    manifest = installed.manifest
    programs = resolve(manifest.project, manifest.programs, names)
    controller = controller_of(manifest)
    answer = Background(lambda: states_of(installed, controller, programs))
    # Imports and the comparison of files go on while the process manager prepares its answer.
    from procman.monitoring.checks.process_manager import problems_of_manager
    from procman.monitoring.checks.quick import check_lightly, with_ends
    from procman.monitoring.program_view import program_snapshots
    from procman.monitoring.queued import queued

    # After an interrupted uninstall, files are meant to be missing.
    found = () if installed.is_half_removed else tuple(differences(manifest))
    with Tree() as tree:
        holds = read_holds(tree, manifest.directories.state, time.time())
    states = answer.result()
    snapshots = program_snapshots(manifest, programs, states)
    lightly = check_lightly(snapshots, manifest.accept)
    results = [with_ends(*pair, manifest.accept) for pair in zip(snapshots, lightly, strict=True)]
    if manifest.adopted:
        from procman.monitoring.checks.adopted_programs import with_returned

        results = with_returned(manifest, snapshots, results)
    waiting = queued(snapshots, time.monotonic(), manifest.health.stale_seconds)
    return ProjectStatus(
        manifest=manifest,
        generation=installed.generation.number,
        at=time.time(),
        programs=tuple(
            ProgramStatus(
                each.program,
                each.state,
                result,
                each.restart_due,
                each.is_started,
                holds.get(each.program.name),
                waiting.get(each.program.name),
                each.says,
                draining_of(each),
                each.keeper.overlap_failed if each.keeper else None,
                reported,
            )
            for each, result, reported in zip(snapshots, results, states, strict=True)
        ),
        differences=found,
        pending=_steps(installed.pending) if installed.pending else (),
        is_half_removed=installed.is_half_removed,
        results=tuple(problems_of_manager(each.state for each in snapshots)),
    )


def _steps(pending: Pending) -> tuple[str, ...]:
    return (
        *(f"adopt {each.label}" for each in pending.adoptions),
        *(f"{each.action.value} {each.program.name}" for each in pending.activations),
        *(f"restore {each.source}" for each in pending.returned),
    )
