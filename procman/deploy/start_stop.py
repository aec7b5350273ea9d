"""`procman start`, `stop`, `restart` and `logs`: commands to the process manager about installed programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from procman.backends import controller_of
from procman.backends.base import Progress
from procman.background import batches, side_by_side
from procman.deploy.rollout import RolloutOptions
from procman.deploy.wait_until_healthy import Unhealthy, wait_until_healthy
from procman.install.plan.activations import on_the_way_down
from procman.install.state.lock import hold_lock
from procman.install.state.manifest import Manifest
from procman.install.state.orders import note_order
from procman.lookup import Installed, resolve, resolve_one
from procman.model import InstalledProgram
from procman.monitoring.events import log_stop


def start(installed: Installed, names: Sequence[str], progress: Progress) -> list[InstalledProgram]:
    """Start the programs that `names` select, workers before beat, and return them."""
    programs = _meant(installed, names)
    note_order(installed.manifest, programs)
    controller_of(installed.manifest).start(programs, progress)
    return programs


def stop(installed: Installed, names: Sequence[str], progress: Progress) -> list[InstalledProgram]:
    """Stop the programs that `names` select, gracefully and in parallel, beat before the workers, and return them."""
    programs = _meant(installed, names)
    controller = controller_of(installed.manifest)
    log_stop(installed.manifest, controller, programs, "")
    note_order(installed.manifest, programs)
    controller.stop(sorted(programs, key=on_the_way_down), progress)
    return programs


def restart(
    installed: Installed, names: Sequence[str], options: RolloutOptions
) -> Iterator[tuple[InstalledProgram, Unhealthy | None]]:
    """Restart the programs that `names` select, `options.at_once` at a time, the next only when those are healthy.

    Workers come before beat. Without names, programs that were stopped on purpose are left alone (R11). Yields each
    program with None, or with why it did not become healthy within `options.wait_seconds` of its start; after such a
    failure no further program is restarted. An interruption raises KeyboardInterrupt with a hint for the user.
    """
    manifest = installed.manifest
    with hold_lock(manifest.directories.shared_state, options.lock_seconds, options.reporter.progress):
        programs = _meant(installed, names)
        if not names:
            states = controller_of(manifest).states(programs)
            for state in states:
                if not state.desired:
                    options.reporter.announce(f"{state.name}: stopped on purpose, so it is not restarted")
            programs = [program for program, state in zip(programs, states, strict=True) if state.desired]
        for batch in batches(programs, options.at_once, lambda program: program.kind):
            try:
                done = list(side_by_side([partial(_restart, manifest, program, options) for program in batch]))
            except KeyboardInterrupt:
                raise KeyboardInterrupt(_may_stay_stopped(batch)) from None
            yield from done
            if any(unhealthy for _, unhealthy in done):
                return


def _restart(
    manifest: Manifest, program: InstalledProgram, options: RolloutOptions
) -> tuple[InstalledProgram, Unhealthy | None]:
    # A controller waits for one answer at a time, so each thread needs its own.
    controller = controller_of(manifest)
    log_stop(manifest, controller, [program], "to be restarted")
    note_order(manifest, [program])
    controller.restart(program, options.reporter.progress)
    seconds, progress = options.wait_seconds or 0, options.reporter.progress
    unhealthy = wait_until_healthy(controller, [program], seconds, progress, manifest, until_started=False)
    return program, unhealthy[0] if unhealthy else None


def _may_stay_stopped(programs: Sequence[InstalledProgram]) -> str:
    which = ", ".join(program.name for program in programs)
    names = " ".join(program.name for program in programs)
    return f"{which} may stop now, and will not start again. Start it with: procman start {names}"


def logs(installed: Installed, name: str, lines: int, *, follow: bool) -> Iterator[str]:
    """Yield the last lines of the program that `name` selects, and with `follow` the lines it writes from then on.

    They come in pieces, which may end in the middle of a line.
    """
    program = resolve_one(installed.manifest.project, installed.manifest.programs, name)
    return controller_of(installed.manifest).logs(program, lines, follow=follow)


def _meant(installed: Installed, names: Sequence[str]) -> list[InstalledProgram]:
    return resolve(installed.manifest.project, installed.manifest.programs, names)
