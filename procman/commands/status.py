"""`procman status`: what the process manager, the processes and the files on disk say of a project."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from procman.checks.process import check_processes
from procman.commands.controller import controller_of
from procman.commands.names import resolve
from procman.commands.select import Installed
from procman.install.differences import differences
from procman.install.manifest import Manifest
from procman.model import InstalledProgram, ProgramState, Result, State


@dataclass(frozen=True)
class ProgramStatus:
    """One row: a program, its state, and what was found out about it."""

    program: InstalledProgram
    state: ProgramState
    result: Result
    restart_due: str
    """Why a restart is due, or empty."""


@dataclass(frozen=True)
class ProjectStatus:
    """All of it, at one moment."""

    manifest: Manifest
    generation: int
    at: float
    """Seconds since the epoch."""
    programs: tuple[ProgramStatus, ...]
    differences: tuple[str, ...]
    """How the host and procman.toml differ from what was installed; empty: in sync."""
    pending: tuple[str, ...]
    """What an interrupted install left to do."""

    @property
    def exit_status(self) -> int:
        """0, or 3 when a wanted program is not running, or 4 when that cannot be told (U2)."""
        wanted = [each.state for each in self.programs if each.state.wanted]
        if any(state.state is State.UNKNOWN for state in wanted):
            return 4
        return 3 if any(state.state is not State.RUNNING for state in wanted) else 0


def status(installed: Installed, names: Sequence[str]) -> ProjectStatus:
    """Return the status of the programs that NAMES mean; renders nothing, and ends within the controller's timeout."""
    manifest = installed.manifest
    programs = resolve(manifest.project, manifest.programs, names)
    states = controller_of(manifest).states(programs)
    results = check_processes(programs, states)
    changed = _changed_behind_programs(manifest)
    return ProjectStatus(
        manifest=manifest,
        generation=installed.generation.number,
        at=time.time(),
        programs=tuple(
            ProgramStatus(program, state, result, _restart_due(program, state, changed))
            for program, state, result in zip(programs, states, results, strict=True)
        ),
        differences=tuple(differences(manifest)),
        pending=tuple(f"{each.action.value} {each.program.name}" for each in installed.pending.activations)
        if installed.pending
        else (),
    )


def _restart_due(program: InstalledProgram, state: ProgramState, changed: Sequence[tuple[float, str, set[str]]]) -> str:
    if state.pid is None or state.since is None:
        return ""
    # supervisord tells the start in whole seconds.
    late = [what for at, what, names in changed if program.name in names and int(at) > state.since]
    return ", ".join(late)


def _changed_behind_programs(manifest: Manifest) -> list[tuple[float, str, set[str]]]:
    """Return (time of change, what, whom it concerns) for the files whose change restarts nothing (R5)."""
    with_launcher = {program.name for program in manifest.programs if program.launcher}
    places = [
        (file.path, f"{file.path.name} is newer", set(file.programs))
        for file in manifest.files
        if not file.restarts and file.programs and not file.section
    ]
    if manifest.environment_file:
        places.append((manifest.environment_file, "the environment file is newer", with_launcher))
    found = []
    for path, what, names in places:
        try:
            found.append((path.stat().st_mtime, what, names))
        except OSError:
            continue  # missing or not for us to see; the comparison of files tells what is missing
    return found
