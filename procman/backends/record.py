"""What a backend is: one frozen record of what differs, and the parts that do the work, imported when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, cast

from procman.model import Scope, SupervisorSettings

if TYPE_CHECKING:
    # Apart from the record, for `status` would wait for so many Protocols.
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
    """How procman's own watcher is run."""

    EVENT_LISTENER = "event listener"
    """One process that lives as long as the process manager, and logs as the programs do."""
    TIMER = "timer"
    """A process for each look; the process manager keeps its log."""


@dataclass(frozen=True)
class Rule:
    """Values of a key that a backend or an export target cannot do; the configuration refuses them."""

    key: str
    """As in `project.group` and `health.procman`; `program.nice` is that key of every program."""
    problem: str
    """What is reported of the key, with a remedy; `{value}` stands for its value."""
    refused: str = ""
    """A regular expression that is found in each value that is refused, as text; empty: any value is."""
    scope: Scope | None = None
    """Refused in this scope only; None: in both."""
    beside: str = ""
    """Refused only if this key has a value, too."""


@dataclass(frozen=True)
class Backend:
    """A process manager that procman controls; whoever asks what differs asks here, and never for the name."""

    name: str
    """As procman.toml has it; also the name of its package."""
    rules: tuple[Rule, ...]
    """What it cannot do, for the configuration to refuse."""
    watcher: Watcher
    identity: tuple[str, ...]
    """The fields of SupervisorSettings that say which process manager it is; empty: a host has but one."""
    logs_opened_by_root: bool
    """Root opens the log of every program by its path, so that a link in its place could lead root anywhere."""
    environment_file_read_by_root: bool
    """The process manager reads the environment file as root; otherwise the launcher does, as the programs' user."""
    stops_removed_together: bool
    """The removal of one program stops all others that are to go as well; otherwise each would wait for the last."""
    installs_unreached: bool
    """Files may be put in place while it does not answer: it reads them once it is started."""
    has_sandbox: bool
    """Programs may find paths read-only that their user could write to."""
    has_shared_files: bool
    """Files of its own belong to no project alone."""

    def render(self, project: Project) -> Rendering:
        """Return every directory and file of the project, without touching the disk."""
        return self.renderer.render(project)

    def controller(self, project: str, scope: Scope, supervisor: SupervisorSettings) -> Controller:
        """Return what speaks to the process manager of an installed PROJECT."""
        return cast("ControllerModule", self._module("controller")).controller(project, scope, supervisor)

    @property
    def renderer(self) -> Renderer:
        """What turns a project into files."""
        return cast("Renderer", self._module("renderer"))

    @property
    def verifier(self) -> Verifier:
        """What reads files as the process manager will."""
        return cast("Verifier", self._module("verify"))

    @property
    def host_check(self) -> HostCheck:
        """What looks at the host before an install."""
        return cast("HostCheck", self._module("host_check"))

    @property
    def sandbox(self) -> Sandbox | None:
        """What knows which paths a program finds read-only; None: it finds none so."""
        return cast("Sandbox", self._module("sandbox")) if self.has_sandbox else None

    @property
    def shared_files(self) -> SharedFiles | None:
        """What plans the files that belong to no project alone; None: there are none."""
        return cast("SharedFiles", self._module("stop_timeout_drop_in")) if self.has_shared_files else None

    def _module(self, name: str) -> object:
        # Only now: `status` must not wait for Jinja.
        return import_module(f"procman.backends.{self.name}.{name}")
