"""`procman start`, `stop`, `restart` and `logs`: orders to the process manager about installed programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from procman.backends.base import Progress
from procman.commands.controller import controller_of
from procman.commands.healthy import Unhealthy, wait_until_healthy
from procman.commands.names import resolve
from procman.commands.select import Installed
from procman.errors import ConfigurationError
from procman.model import InstalledProgram, Kind


def start(installed: Installed, names: Sequence[str], progress: Progress) -> list[InstalledProgram]:
    """Start the programs that NAMES mean, workers before beat, and return them."""
    programs = _meant(installed, names)
    controller_of(installed.manifest).start(programs, progress)
    return programs


def stop(installed: Installed, names: Sequence[str], progress: Progress) -> list[InstalledProgram]:
    """Stop the programs that NAMES mean, warm and side by side, beat before the workers, and return them."""
    programs = _meant(installed, names)
    beat_first = sorted(programs, key=lambda program: program.kind is not Kind.BEAT)
    controller_of(installed.manifest).stop(beat_first, progress)
    return programs


def restart(
    installed: Installed, names: Sequence[str], wait_seconds: float, progress: Progress
) -> Iterator[tuple[InstalledProgram, Unhealthy | None]]:
    """Restart the programs that NAMES mean, one after the other, each only when the one before is healthy.

    Without names those that somebody stopped are left alone (R11). Yields each with None, or with why it did not become
    healthy within WAIT_SECONDS of its start; then nothing more is restarted.
    """
    manifest = installed.manifest
    controller = controller_of(manifest)
    programs = _meant(installed, names)
    if not names:
        states = controller.states(programs)
        programs = [program for program, state in zip(programs, states, strict=True) if state.wanted]
    for program in programs:
        controller.restart(program, progress)
        unhealthy = wait_until_healthy(controller, [program], wait_seconds, progress)
        yield program, unhealthy[0] if unhealthy else None
        if unhealthy:
            return


def logs(installed: Installed, name: str, lines: int, *, follow: bool) -> Iterator[str]:
    """Yield what the one program that NAME means wrote last, and with FOLLOW what it goes on to write."""
    [program, *more] = _meant(installed, [name])
    if more:
        every = ", ".join(each.name for each in (program, *more))
        raise ConfigurationError([f"{name} is several programs"], hint=f"Name one: {every}")
    return controller_of(installed.manifest).logs(program, lines, follow=follow)


def _meant(installed: Installed, names: Sequence[str]) -> list[InstalledProgram]:
    return resolve(installed.manifest.project, installed.manifest.programs, names)
