"""The Protocols of an export target and of the parts of a backend."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from procman.model import Activation, InstalledProgram, ProgramState, RunHistory, Scope, SupervisorSettings
from procman.records import record

if TYPE_CHECKING:
    from procman.backends.logs import LogLine, LogRequest
    from procman.backends.record import Rule
    from procman.backends.reporter import Reporter
    from procman.install.plan.plan import Plan
    from procman.install.safe_fs.tree import Tree
    from procman.install.state.generations import Installation
    from procman.install.state.manifest import Manifest
    from procman.project import Program, Project, Rendering

Progress = Callable[[str], None]
"""Receives a message, for people, about what a long operation is waiting for."""


@record(frozen=True)
class StopOrder:
    """Which units of the host stop only after the programs of a project, once it is installed."""

    units: frozenset[str]
    uses_after: bool
    """Whether the key `after` decides that."""
    unit: str = ""
    """The unit of the host that an administrator can order instead; empty if procman knows none."""
    reason: str = ""
    """Why `after` has no effect."""
    remedy: str = ""
    """How to make it take effect, or empty."""


@record(frozen=True)
class ManagerReport:
    """The condition of a host's process manager before an install."""

    problem: str = ""
    """Why it cannot be reached; empty if it can."""
    remedy: str = ""
    supervisor_version: str = ""
    tcp_without_password: str = ""
    """The address at which supervisord listens on TCP without a password, or empty."""


@record(frozen=True)
class FileLimit:
    """How many files each process of a program may have open."""

    most: int
    remedy: str
    """How to raise it; `{number}` in it is to be replaced by the new limit."""
    problem: str = ""
    """Why the process manager cannot start with its own limit, or empty."""


@record(frozen=True)
class HiddenPath:
    """A path that a program needs, and that its sandbox hides."""

    path: Path
    use: str
    directive: str
    """That hides it."""
    is_written: bool
    """Whether the program writes there."""


class BroughtUp(NamedTuple):
    """What came up together with a process manager that was not running."""

    started: tuple[str, ...]
    """Programs of all projects that share it."""
    held: tuple[str, ...]
    """Programs that it would have started, but that had been stopped on purpose."""


class ExportTarget(Protocol):
    """Something that procman renders a project for: every `Backend`, and targets that procman does not control."""

    @property
    def name(self) -> str:
        """Return the name that users type."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return the values of keys that it does not support."""

    def render(self, project: Project) -> Rendering:
        """Return every directory and file of the project, without touching the disk."""


class Renderer(Protocol):
    """The module `renderer` of a backend: renders a project to files, without touching the disk."""

    def render(self, project: Project) -> Rendering:
        """Return every directory and file of the project."""

    def log_path(self, project: Project, program: str) -> Path | None:
        """Return the log file of `program`; None if the process manager keeps the log itself."""


class Verifier(Protocol):
    """The module `verify` of a backend: reads files as the process manager will, before they are installed (R6)."""

    def verify(
        self,
        project: Project,
        rendering: Rendering,
        removed: Iterable[Path] = (),
        adopted: Mapping[Path, str | None] | None = None,
    ) -> list[str]:
        """Return the problems that the process manager would have with its configuration once `rendering` is installed.

        The paths in `removed` count as deleted. `adopted` maps each unmanaged file to the content it will have, None if
        it will be deleted. The configuration is assembled in a private directory. Every problem names a file and the
        remedy.
        """

    def unread(self, project: Project, rendering: Rendering, files: Iterable[Path]) -> list[str]:
        """Return why unmanaged `files` cannot be adopted: those that the process manager of `project` does not read.

        A file at a path of `rendering` is always accepted. `remaining` may have refused others already.
        """

    def remaining(self, file: Path, names: Collection[str]) -> str | None:
        """Return what is left of the unmanaged `file` once procman has adopted the programs `names`, or None."""


class HostCheck(Protocol):
    """The module `host_check` of a backend."""

    def examine(self, project: Project) -> ManagerReport:
        """Return the condition of the process manager of `project`; unknown fields stay empty."""

    def stop_order(self, project: Project) -> StopOrder | None:
        """Return which units stop after the programs of `project`; None if systemd does not run here."""

    def file_limits(self, project: Project) -> Mapping[str, FileLimit]:
        """Return the limit of open files that the programs of `project` would have, by name; none that is unknown."""

    def warnings(self, project: Project) -> list[str]:
        """Return what the host would end early or ignore, each with its remedy."""


class Sandbox(Protocol):
    """The module `sandbox` of a backend."""

    def read_only(self, project: Project, program: Program, paths: Iterable[Path]) -> list[Path]:
        """Return those of `paths`, which `program` writes to now, that would be read-only for it."""

    def hidden(self, project: Project, program: Program) -> list[HiddenPath]:
        """Return the paths that `program` needs and would not see."""

    def bound(self, project: Project, program: Program, hidden: Sequence[HiddenPath]) -> str:
        """Return the lines of procman.toml with which `program` sees the paths in `hidden`."""


class SharedFiles(Protocol):
    """The module of a backend that plans the files whose content depends on all projects of a host."""

    def with_shared_files(
        self,
        plan: Plan,
        tree: Tree,
        installation: Installation,
        desired: Manifest | None,
        rendering: Rendering,
        adopted: Mapping[Path, str | None] | None,
    ) -> Plan:
        """Return `plan` with the changes to the shared files that follow from installing `desired`.

        `rendering` is the rendering of `desired`, which is None if the project is being uninstalled.
        """


class ControllerModule(Protocol):
    """The module `controller` of a backend."""

    def controller(self, project: str, scope: Scope, supervisor: SupervisorSettings) -> Controller:
        """Return the controller for the process manager of `project`."""


class Controller(Protocol):
    """Controls the programs of an installed project through its process manager; each call ends within its timeout."""

    def reporter(self) -> Reporter | None:
        """Return who reports the states, to decide whether to signal a process; None if no other user could.

        Raises ProcmanError if it does not answer.
        """

    def states(self, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
        """Return one state per program, in order; UNKNOWN, with the reason, if it cannot be found out (R10)."""

    def histories(self, programs: Sequence[InstalledProgram], since: float) -> Mapping[str, RunHistory]:
        """Return the history of those of `programs` that the process manager recorded something about `since` then.

        Empty if its record cannot be read. `states` reads it only if a program was restarted lately.
        """

    def desired(self, programs: Sequence[InstalledProgram]) -> dict[str, bool]:
        """Return the desired state of each program by name: autostart at first, then the last start or stop.

        If no process manager is running, autostart decides. Raises ProcmanError if one is running and does not answer,
        because a guess could start a program that was stopped on purpose (R11).
        """

    def bring_up(self, wanted: Collection[str] = (), held: Collection[str] = ()) -> BroughtUp | None:
        """Start the process manager if it is not running; return what came up with it, None if it was running.

        Programs that were stopped on purpose, and those in `held`, are not started (R11), except those in `wanted`.
        Raises ProcmanError, with the command that starts it, if it is not procman's own.
        """

    def start(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Start the programs that are not running, in the order given; do not wait until they are healthy."""

    def stop(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Stop the programs gracefully, in the order given and in parallel; return when all have exited."""

    def activate(self, activation: Activation, progress: Progress) -> str:
        """Carry out `activation` and return a few words on what was done. Idempotent (R2)."""

    def unload(self, sections: Sequence[Path], progress: Progress) -> None:
        """Stop what the removed `sections`, which belong to no single program, had started.

        Called before any program changes.
        """

    def reload(self, sections: Sequence[Path], progress: Progress) -> None:
        """Make the process manager read `sections` that belong to no single program, such as a target, or are gone.

        Called after the programs have changed. Idempotent (R2).
        """

    def restart(self, program: InstalledProgram, progress: Progress) -> None:
        """Stop `program` gracefully and start it again from the current files."""

    def order_restart(self, program: InstalledProgram) -> None:
        """Order a graceful restart of the running `program`; do not wait for its tasks."""

    def order_overlap(self, program: InstalledProgram) -> None:
        """Order an overlap restart from the keeper of the running `program`; do not wait for it.

        Raises ProcmanError if the order could not be given.
        """

    def failed_order(self, program: InstalledProgram) -> str:
        """Return why the last order of an overlap did not reach the keeper of `program`; empty if it did, or may."""

    def order_end_of_drain(self, program: InstalledProgram) -> None:
        """Order the keeper of the running `program` to stop the processes that drain; do not wait for it."""

    def reload_program(self, program: InstalledProgram) -> None:
        """Make the running `program` reload: by its signal, or by its command if the backend runs reload commands.

        Raises ProcmanError if it could not be asked, or if its command failed. The program may reload later.
        """

    def logs(self, program: InstalledProgram, lines: int) -> Iterator[str]:
        """Yield the last `lines` lines of the log of `program`, in pieces that may end in the middle of a line."""

    def log_lines(self, programs: Sequence[InstalledProgram], request: LogRequest) -> Iterator[LogLine]:
        """Yield the lines of the logs of `programs` in one stream, ordered by their times."""

    def log_end(self, program: InstalledProgram) -> str:
        """Return the last lines of the log of `program`, in a bounded time and size; empty if it cannot be read."""

    def shutdown(self, progress: Progress) -> Path | None:
        """Stop the process manager if it is procman's own and no project needs it any more.

        Return its log, the only file left in a directory of procman's; None if there was nothing to stop.
        """

    def command_line(self, program: InstalledProgram) -> str | None:
        """Return the process manager's own command that restarts `program`; None if it is too long to type."""
