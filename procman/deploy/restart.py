"""`procman restart`: restarts installed programs gracefully, each only after those before it are healthy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from procman.backends import controller_of
from procman.background import batches, side_by_side
from procman.deploy.failure import Failure, unhealthy
from procman.deploy.order_records import log_events, ordered, restart_recorded
from procman.deploy.rollout import RolloutOptions
from procman.install.state.lock import hold_lock
from procman.install.state.manifest import Manifest
from procman.lookup import Installed, resolve
from procman.model import InstalledProgram


def restart(
    installed: Installed, names: Sequence[str], options: RolloutOptions
) -> Iterator[tuple[InstalledProgram, Failure | None]]:
    """Restart the programs that `names` select, `options.at_once` at a time, the next only when those are healthy.

    Workers come before beat. Without names, programs that were stopped on purpose are left alone (R11). Yields each
    program with None, or with why it did not become healthy within `options.wait_seconds` of its start; after such a
    failure no further program is restarted. An interruption raises KeyboardInterrupt with a hint for the user.
    """
    manifest = installed.manifest
    with hold_lock(manifest.directories.shared_state, options.lock_seconds, options.reporter.progress):
        programs = _desired(manifest, names, options)
        for batch in batches(programs, options.at_once, lambda program: program.kind):
            try:
                done = list(side_by_side([partial(_restart, manifest, program, options) for program in batch]))
            except KeyboardInterrupt:
                log_events(
                    manifest, [ordered(each.name, "stopped", reason="its restart was interrupted") for each in batch]
                )
                raise KeyboardInterrupt(_may_stay_stopped(batch)) from None
            yield from done
            if any(failure for _, failure in done):
                return


def _desired(manifest: Manifest, names: Sequence[str], options: RolloutOptions) -> list[InstalledProgram]:
    programs = resolve(manifest.project, manifest.programs, names)
    if names:
        return programs
    states = controller_of(manifest).states(programs)
    for state in states:
        if not state.desired:
            options.reporter.announce(f"{state.name}: stopped on purpose, so it is not restarted")
    return [program for program, state in zip(programs, states, strict=True) if state.desired]


def _restart(
    manifest: Manifest, program: InstalledProgram, options: RolloutOptions
) -> tuple[InstalledProgram, Failure | None]:
    # A controller waits for one answer at a time, so each thread needs its own.
    controller = controller_of(manifest)
    with restart_recorded(manifest, controller, program):
        controller.restart(program, options.reporter.progress)
    seconds, progress = options.wait_seconds or 0, options.reporter.progress
    failures = unhealthy(controller, manifest, [program], seconds, progress, until_started=False)
    return program, failures[0] if failures else None


def _may_stay_stopped(programs: Sequence[InstalledProgram]) -> str:
    which = ", ".join(program.name for program in programs)
    names = " ".join(program.name for program in programs)
    return f"{which} may stop now, and will not start again. Start it with: procman start {names}"
