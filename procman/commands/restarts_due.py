"""Which programs run with an older launcher or environment file than the one that is there (R5)."""

from __future__ import annotations

import time
from collections.abc import Sequence

from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, ProgramState


def restarts_due(manifest: Manifest, programs: Sequence[InstalledProgram], states: Sequence[ProgramState]) -> list[str]:
    """Return for each program, in order, why a restart is due; empty where none is."""
    changed = _changed_behind_programs(manifest)
    return [_restart_due(program, state, changed) for program, state in zip(programs, states, strict=True)]


def _restart_due(program: InstalledProgram, state: ProgramState, changed: Sequence[tuple[float, str, set[str]]]) -> str:
    if state.pid is None or state.since is None:
        return ""
    # The times of files stay as they are when the clock is set: what neither clock calls newer was there at the start,
    # and of what comes from the future nothing can be told.
    started, now = max(state.since, state.clock_then or 0.0), time.time()
    # supervisord tells the start in whole seconds.
    late = [what for at, what, names in changed if program.name in names and started < int(at) <= now]
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
