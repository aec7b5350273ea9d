"""The record of a backend: a field for everything that differs between backends, and its modules, imported on use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, cast

from procman.model import Scope, SupervisorSettings
from procman.records import record

if TYPE_CHECKING:
    # Only for type checkers: defining so many Protocols would slow down `status`.
    from procman.backends.base import (
        Controller,
        ControllerModule,
        HostCheck,
        Renderer,
        Sandbox,
        SharedFiles,
        Verifier,
    )
    from procman.project import Project, Rendering


class Watcher(Enum):
    """How the watcher runs."""

    EVENT_LISTENER = "event listener"
    """One process that runs as long as the process manager does and has a log like a program."""
    TIMER = "timer"
    """A new process for each check; the process manager keeps the log."""


@record(frozen=True)
class Rule:
    """Values of a key that a backend or export target does not support; the configuration refuses them."""

    key: str = ""
    """Such as `project.group` or `health.procman`; `program.nice` is the key `nice` of every program,
    `command.user` the key of every command."""
    problem: str = ""
    """The message, with a remedy; `{value}` is replaced by the value of the key."""
    refused: str = ""
    """A regular expression that matches somewhere in a refused value; empty: every value is refused."""
    scope: Scope | None = None
    """The scope in which the value is refused; None: both."""
    beside: str = ""
    """The value is refused only if this key is set too, for the same program if both are keys of programs."""
    examine: Callable[[Project], Iterable[tuple[str, str]]] | None = None
    """Instead of all that: yields the keys and problems of a project that no value of one key shows."""


@record(frozen=True)
class Backend:
    """A process manager that procman controls. Code outside `backends` uses these fields and never compares names."""

    name: str
    """The value of the key `backend`, and the name of the package."""
    rules: tuple[Rule, ...]
    """The values that it does not support, refused by the configuration."""
    watcher: Watcher
    identity: tuple[str, ...]
    """The fields of SupervisorSettings that identify a process manager; empty: each host has only one."""
    own_log: str
    """Where the output of a program without a log file is, for messages."""
    logs_opened_by_root: bool
    """Root opens the log of every program by its path, so that a symbolic link there could redirect root's writes."""
    environment_file_read_by_root: bool
    """The process manager reads the environment file as root; otherwise the launcher reads it as the programs' user."""
    stops_removed_together: bool
    """Removing one program stops all programs to be removed, so that they finish their tasks in parallel."""
    installs_unreached: bool
    """Files can be installed while the process manager does not answer: it reads them when it starts."""
    runs_reload_commands: bool
    """The process manager runs the reload command of a program; otherwise procman does, as the program's user."""
    has_sandbox: bool
    """Programs may run in a sandbox, where paths are read-only that their user could write to."""
    has_shared_files: bool
    """It has files whose content depends on all projects of a host."""

    def render(self, project: Project) -> Rendering:
        """Return every directory and file of the project, without touching the disk."""
        return self.renderer.render(project)

    def controller(self, project: str, scope: Scope, supervisor: SupervisorSettings) -> Controller:
        """Return the controller for the process manager of the installed `project`."""
        return cast("ControllerModule", self._module("controller")).controller(project, scope, supervisor)

    @property
    def renderer(self) -> Renderer:
        """The module that renders a project to files."""
        return cast("Renderer", self._module("renderer"))

    @property
    def verifier(self) -> Verifier:
        """The module that reads files as the process manager will."""
        return cast("Verifier", self._module("verify"))

    @property
    def host_check(self) -> HostCheck:
        """The module that examines the host before an install."""
        return cast("HostCheck", self._module("host_check"))

    @property
    def sandbox(self) -> Sandbox | None:
        """The module that knows which paths are read-only for a program; None if there is no sandbox."""
        return cast("Sandbox", self._module("sandbox")) if self.has_sandbox else None

    @property
    def shared_files(self) -> SharedFiles | None:
        """The module that plans files whose content depends on all projects; None if there are none."""
        return cast("SharedFiles", self._module("stop_timeout_drop_in")) if self.has_shared_files else None

    def _module(self, name: str) -> object:
        # Imported on use: `status` must not wait for Jinja.
        return import_module(f"procman.backends.{self.name}.{name}")
