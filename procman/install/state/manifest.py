"""The manifest: all that is remembered of an installed project, enough to live without its procman.toml."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from procman.model import (
    Activation,
    BackendName,
    Directories,
    HealthSettings,
    InstalledProgram,
    RenderedDirectory,
    Scope,
    SupervisorSettings,
)


@dataclass(frozen=True)
class InstalledFile:
    """A file as it was rendered; its content is kept with the generation under its digest."""

    path: Path
    digest: str
    mode: int
    owner: str | None
    group: str | None
    programs: tuple[str, ...]
    restarts: bool
    section: bool
    shared: bool


@dataclass(frozen=True)
class ReplacedFile:
    """A file of somebody else that was taken over; its copy is in set-aside, and uninstall brings it back."""

    path: Path
    digest: str
    """Of what it was."""
    left: str | None
    """Of what was left of it; None if nothing was."""


@dataclass(frozen=True)
class Manifest:
    """What one generation put on disk; the fields from `directories_made` on also hold what those before it had."""

    procman: str
    project: str
    scope: Scope
    backend: BackendName
    configuration_file: Path
    configuration_digest: str
    templates_digest: str
    directories: Directories
    supervisor: SupervisorSettings
    programs: tuple[InstalledProgram, ...]
    files: tuple[InstalledFile, ...]
    rendered_directories: tuple[RenderedDirectory, ...]
    environment_file: Path | None = None
    """Not ours, but a change of it makes a restart due."""
    directories_made: tuple[Path, ...] = ()
    """Those of this project alone that did not exist before it."""
    log_files: tuple[Path, ...] = ()
    schedule_files: tuple[Path, ...] = ()
    replaced: tuple[ReplacedFile, ...] = ()
    app: str = ""
    directory: Path | None = None
    virtualenv: Path | None = None
    writable_paths: tuple[Path, ...] = ()
    health: HealthSettings = field(default_factory=HealthSettings)
    brought_back: int | None = None
    """The generation whose content this one has: it was made by a roll-back."""
    left_out: tuple[str, ...] = ()
    """Programs of procman.toml that a first install removed again, for they did not become healthy (R4)."""

    @property
    def directory_mode(self) -> int:
        """Return the mode of procman's own directories: for all to read, or as the XDG specification has it."""
        return 0o755 if self.scope is Scope.SYSTEM else 0o700

    @property
    def user(self) -> str | None:
        """Return whom the programs run as; None: whoever installed them."""
        return next((program.user for program in self.programs if program.user), None)


@dataclass(frozen=True)
class Pending:
    """What an install still has to do; written before it changes its first file, and removed by its last step (R2)."""

    generation: int
    unfinished: tuple[int, ...]
    """The generations that may have files in place without ever having become current."""
    activations: tuple[Activation, ...]
    before: int | None = None
    """The generation that was in place when all this began: what a failed install brings back (R4)."""
    sections: tuple[Path, ...] = ()
    """Files of the process manager's that concern no single program, and that it has yet to follow."""


def digest(content: bytes) -> str:
    """Return the digest that manifests know CONTENT by."""
    import hashlib  # only now: it comes with all of OpenSSL, and a status seldom needs it

    return hashlib.sha256(content).hexdigest()
