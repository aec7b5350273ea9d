"""The manifest: everything that is recorded about an installed project, enough to do without its procman.toml."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path

from procman.model import (
    LATER,
    Activation,
    Adopted,
    Adoption,
    BackendName,
    Directories,
    HealthSettings,
    InstalledProgram,
    Kind,
    RenderedDirectory,
    Scope,
    SupervisorSettings,
)
from procman.records import record


@record(frozen=True)
class InstalledFile:
    """A file as it was rendered; its content is stored in the generation under its digest."""

    path: Path
    digest: str
    mode: int
    owner: str | None
    group: str | None
    programs: tuple[str, ...]
    restarts: bool
    section: bool
    shared: bool
    overlaps: bool = field(default=False, metadata={LATER: True})
    """Whether a change restarts its programs by an overlap."""


@record(frozen=True)
class ReplacedFile:
    """An adopted file; its backup is in set-aside/, and uninstall restores it."""

    path: Path
    digest: str
    """The digest of the original content."""
    left: str | None
    """The digest of what remained of the file; None if nothing did."""


@record(frozen=True)
class Manifest:
    """What one generation put on disk; the fields from `directories_made` to `replaced` include earlier generations."""

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
    """Not managed, but a change of it makes a restart due."""
    directories_made: tuple[Path, ...] = ()
    """The directories of this project alone that did not exist before it."""
    log_files: tuple[Path, ...] = ()
    schedule_files: tuple[Path, ...] = ()
    replaced: tuple[ReplacedFile, ...] = ()
    app: str = ""
    directory: Path | None = None
    virtualenv: Path | None = None
    writable_paths: tuple[Path, ...] = ()
    health: HealthSettings = field(default_factory=HealthSettings)
    brought_back: int | None = None
    """The generation whose content this one has, if a rollback made it."""
    left_out: tuple[str, ...] = ()
    """Programs of procman.toml that a first install removed again because they did not become healthy (R4)."""
    accept: tuple[str, ...] = field(default=(), metadata={LATER: True})
    """The codes of the warnings that an administrator accepts."""
    adopted: tuple[Adopted, ...] = field(default=(), metadata={LATER: True})
    """Existing programs that this or an earlier generation took over; uninstall brings them back."""
    beside: tuple[str, ...] = field(default=(), metadata={LATER: True})
    """Other workers of the app that are meant to run beside the project's."""

    @property
    def directory_mode(self) -> int:
        """Return the mode of procman's own directories: readable by all, or private as in the XDG specification."""
        return 0o755 if self.scope is Scope.SYSTEM else 0o700

    @property
    def user(self) -> str | None:
        """Return the user that the programs run as; None: the user who installed them."""
        # A command may have a user of its own.
        of_celery = [program.user for program in self.programs if program.kind in (Kind.WORKER, Kind.BEAT)]
        return next((user for user in (*of_celery, *(program.user for program in self.programs)) if user), None)

    def environment_file_of(self, program: InstalledProgram) -> tuple[Path | None, str | None]:
        """Return the file with the secret variables of `program`, if it has one, and the user that reads it."""
        return program.environment_file or self.environment_file, program.user or self.user

    def environment_files(self) -> list[tuple[Path | None, str | None, list[InstalledProgram]]]:
        """Return each file with secret variables, None for none, with the user and the programs that have it."""
        found: dict[tuple[Path | None, str | None], list[InstalledProgram]] = {}
        for program in self.programs:
            found.setdefault(self.environment_file_of(program), []).append(program)
        return [(file, user, programs) for (file, user), programs in found.items()]


@record(frozen=True)
class Pending:
    """What an install still has to do; written before it changes its first file, removed by its last step (R2)."""

    generation: int
    unfinished: tuple[int, ...]
    """The generations that may have installed files without having become current."""
    activations: tuple[Activation, ...]
    before: int | None = None
    """The generation that was installed when this began: a failed install rolls back to it (R4)."""
    sections: tuple[Path, ...] = ()
    """Files of the process manager that belong to no single program, and that it has yet to reload."""
    uninstall: bool = field(default=False, metadata={LATER: True})
    """Whether this is an uninstall; its record stays until nothing is installed."""
    adoptions: tuple[Adoption, ...] = field(default=(), metadata={LATER: True})
    """Existing programs that have yet to be stopped, each before the program that takes its place starts."""
    returned: tuple[Adopted, ...] = field(default=(), metadata={LATER: True})
    """Adopted programs that have yet to be brought back."""


def digest(content: bytes) -> str:
    """Return the digest of `content` as manifests record it."""
    import hashlib  # here, because it loads all of OpenSSL, and a status seldom needs it

    return hashlib.sha256(content).hexdigest()
