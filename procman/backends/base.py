"""What a backend is: it renders files, reads them as their reader will, and speaks to the process manager."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from procman.model import Activation, InstalledProgram, ProgramState, Project, Rendering

Progress = Callable[[str], None]
"""Told, in plain words, what a long wait is waiting for."""


class Files(Protocol):
    """The module `files` of a backend: turns a project into files, without touching the disk."""

    def render(self, project: Project) -> Rendering:
        """Return every directory and file of the project."""


class Verify(Protocol):
    """The module `verify` of a backend: reads files as their reader will, before they are put in place (R6)."""

    def verify(self, project: Project, rendering: Rendering, removed: Iterable[Path]) -> list[str]:
        """Return the problems that the files' own reader would have with the host's configuration once RENDERING is in
        place and the paths REMOVED are gone; put together in a private directory, nothing is put in place."""


class Controller(Protocol):
    """Speaks to the process manager about the programs of one installed project; every call ends within its timeout."""

    def states(self, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
        """Return one state per program, in order; UNKNOWN with the reason where it cannot be told (R10)."""

    def start(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Start what does not run, in the order given; return once each was started, not once it is healthy."""

    def stop(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Stop warm, in the order given, side by side; return when all have ended."""

    def activate(self, activation: Activation, progress: Progress) -> str:
        """Carry out ACTIVATION and return what was done, in a few words. Carrying it out twice does no harm (R2)."""

    def command_line(self, program: InstalledProgram) -> str:
        """Return the process manager's own command that restarts PROGRAM, for a person to paste."""
