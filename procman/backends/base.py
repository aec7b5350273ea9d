"""What the parts of a backend can do, and what it takes to be an export target: the Protocols."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from procman.model import Activation, InstalledProgram, ProgramState, Scope, SupervisorSettings

if TYPE_CHECKING:
    from procman.backends.record import Rule
    from procman.install.plan.plan import Plan
    from procman.install.safe_fs.tree import Tree
    from procman.install.state.generations import Installation
    from procman.install.state.manifest import Manifest
    from procman.project import Program, Project, Rendering

Progress = Callable[[str], None]
"""Told, in plain words, what a long wait is waiting for."""


@dataclass(frozen=True)
class ManagerReport:
    """How the process manager of a host does, before anything is installed."""

    problem: str = ""
    """Why it cannot be reached."""
    remedy: str = ""
    supervisor_version: str = ""
    tcp_without_password: str = ""
    """Where supervisord listens on TCP without a password, or empty."""
    adoption: str = ""
    """How a program is taken over that somebody else runs under it, or empty."""


class ExportTarget(Protocol):
    """Something procman renders a project for. Every `Backend` is one; others need not be controlled at all."""

    @property
    def name(self) -> str:
        """Return the name that a user gives it."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return what it cannot do."""

    def render(self, project: Project) -> Rendering:
        """Return every directory and file of the project, without touching the disk."""


class Renderer(Protocol):
    """The module `renderer` of a backend: turns a project into files, without touching the disk."""

    def render(self, project: Project) -> Rendering:
        """Return every directory and file of the project."""

    def log_path(self, project: Project, program: str) -> Path | None:
        """Return the file PROGRAM's log is in; None where the process manager keeps it itself."""


class Verifier(Protocol):
    """The module `verify` of a backend: reads files as their reader will, before they are put in place (R6)."""

    def verify(
        self,
        project: Project,
        rendering: Rendering,
        removed: Iterable[Path] = (),
        adopted: Mapping[Path, str | None] | None = None,
    ) -> list[str]:
        """Return the problems that the reader would have with the host's configuration once RENDERING is in place.

        The paths REMOVED are taken for gone, and the files of others ADOPTED for what will be left of them (None:
        nothing). All is put together in a private directory. Every problem names a file and what to do.
        """

    def unread(self, project: Project, rendering: Rendering, files: Iterable[Path]) -> list[str]:
        """Return why FILES of others cannot be taken over: one that PROJECT's process manager does not read runs on.

        What stands where a file of RENDERING belongs may be anything. `remaining` may have refused others already.
        """

    def remaining(self, file: Path, names: Collection[str]) -> str | None:
        """Return what is left of somebody else's FILE when procman takes the programs NAMES over; None: nothing."""


class HostCheck(Protocol):
    """The module `host_check` of a backend."""

    def examine(self, project: Project) -> ManagerReport:
        """Return how the process manager of PROJECT does; what it knows nothing of is left out."""

    def warnings(self, project: Project) -> list[str]:
        """Return what the host would cut short or leave out, each with its remedy."""


class Sandbox(Protocol):
    """The module `sandbox` of a backend."""

    def read_only(self, project: Project, program: Program, paths: Iterable[Path]) -> list[Path]:
        """Return those of PATHS, which PROGRAM writes to now, that it would find read-only."""


class SharedFiles(Protocol):
    """The module of a backend that plans what belongs to no project alone: it follows from everybody's programs."""

    def with_shared_files(
        self,
        plan: Plan,
        tree: Tree,
        installation: Installation,
        desired: Manifest | None,
        rendering: Rendering,
        adopted: Mapping[Path, str | None] | None,
    ) -> Plan:
        """Return PLAN with what has to happen to those files once DESIRED, which RENDERING is of, is in place.

        DESIRED is None where the project goes.
        """


class ControllerModule(Protocol):
    """The module `controller` of a backend."""

    def controller(self, project: str, scope: Scope, supervisor: SupervisorSettings) -> Controller:
        """Return what speaks to the process manager of PROJECT."""


class Controller(Protocol):
    """Speaks to the process manager about the programs of one installed project; every call ends within its timeout."""

    def states(self, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
        """Return one state per program, in order; UNKNOWN with the reason where it cannot be told (R10)."""

    def desired(self, programs: Sequence[InstalledProgram]) -> dict[str, bool]:
        """Return by name whether each program is to run, as somebody asked last.

        Autostart counts where no process manager runs; raises ProcmanError where one runs and cannot tell, for a guess
        could start what somebody stopped (R11).
        """

    def start(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Start what does not run, in the order given; return once each was started, not once it is healthy."""

    def stop(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Stop warm, in the order given, side by side; return when all have ended."""

    def activate(self, activation: Activation, progress: Progress) -> str:
        """Carry out ACTIVATION and return what was done, in a few words. Carrying it out twice does no harm (R2)."""

    def unload(self, sections: Sequence[Path], progress: Progress) -> None:
        """End what SECTIONS made, which are gone and concerned no single program; before programs are told anything."""

    def reload(self, sections: Sequence[Path], progress: Progress) -> None:
        """Have the process manager follow SECTIONS, which concern no single program, such as a target; also those gone.

        After the programs were told. Carrying it out twice does no harm (R2).
        """

    def restart(self, program: InstalledProgram, progress: Progress) -> None:
        """Stop PROGRAM warm and start it again as the files have it now."""

    def logs(self, program: InstalledProgram, lines: int, *, follow: bool) -> Iterator[str]:
        """Yield the last LINES of what PROGRAM wrote and, to FOLLOW it, what comes after, without end."""

    def shutdown(self, progress: Progress) -> Path | None:
        """End the process manager itself where it is procman's own: nobody needs it any more.

        Returns its log, alone in a directory of procman's; None where there is nothing to end.
        """

    def command_line(self, program: InstalledProgram) -> str | None:
        """Return the process manager's own command that restarts `program`; None if it is too long to type."""
