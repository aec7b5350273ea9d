"""The record of one program of an existing deployment, whatever format it was read from (`init --from`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from procman.celery_cli.parse import CeleryCommand
from procman.sources import Source


@dataclass(frozen=True)
class Stop:
    """How the existing deployment stops a program, and starts it again; None: its default."""

    signal: str | None = None
    """Such as TERM or INT."""
    seconds: int | None = None
    """After which it is killed."""
    reaches: str | None = None
    """Which processes get the signal: main, group or shell (only the shell in front of Celery)."""
    restarts: str | None = None
    """When it is started again after it ended without an order: always, on-failure or never."""


@dataclass(frozen=True)
class Remark:
    """Something of a file that is not imported or is changed; equal remarks of several programs are printed once."""

    place: str
    """Where it is: `/etc/supervisor/conf.d/celery.conf:12`, as precise as the reader knows it."""
    what: str
    """The option or words: `stopwaitsecs = 10`."""
    consequence: str
    """Why it is not imported, and what that means."""
    changed: bool = False
    """Whether it is imported with another value, rather than not at all."""
    doubtful: bool = False
    """Whether a person has to decide; it is printed as a note."""


@dataclass(frozen=True)
class Existing:
    """A program as its own reader understands it: the effective values, after variables, drop-ins and scripts."""

    label: str
    """What messages call it: `[program:celery]`, `celery.service`, `node fast of /etc/default/celeryd`."""
    name: str
    """Its own name, from which the name in procman.toml is made: `celery`, `fast`, `worker`."""
    file: Path
    line: int
    words: tuple[str, ...]
    """The effective command: of a start script, the command that it finally runs."""
    command: CeleryCommand | None = None
    """None: not a worker or beat, or its words could not be understood (`problem`)."""
    problem: str = ""
    """Why a program that does start Celery cannot be imported; empty if it can, or does not start Celery."""
    wrapper: tuple[str, ...] = ()
    """Words in front of Celery that exec what follows; they become the key `wrapper`."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    environment_files: tuple[Path, ...] = ()
    """Files of variables that it reads, last one wins."""
    directory: Path | None = None
    user: str | None = None
    group: str | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    """Keys of its table that do not come from the command line: nice, umask, autostart, stop_timeout_seconds, ..."""
    supervisor_options: Mapping[str, object] = field(default_factory=dict)
    """Becomes `[worker.NAME.supervisor]`."""
    systemd_directives: Mapping[str, object] = field(default_factory=dict)
    """Becomes `[worker.NAME.systemd]`."""
    after: tuple[str, ...] = ()
    """Units that it starts after: `[project] after`."""
    stop: Stop = Stop()
    source: Source | None = None
    """What `install` has to adopt; None if nothing that runs it can be adopted, such as a container."""
    remarks: tuple[Remark, ...] = ()
    likely_app: str = ""
    """The app of a command line of the project's own, such as `nautobot-server celery`, until it was loaded."""

    @property
    def place(self) -> str:
        """Where it is defined, for remarks: `/etc/supervisor/conf.d/celery.conf:12`."""
        return f"{self.file}:{self.line}" if self.line else str(self.file)


@dataclass(frozen=True)
class Reading:
    """Everything that one reader found in its files."""

    programs: tuple[Existing, ...] = ()
    """In the order of the files; also those that do not start Celery, whose `command` is None."""
    remarks: tuple[Remark, ...] = ()
    """About the files as a whole, such as a group, or an include that matches nothing."""
    files: tuple[Path, ...] = ()
    """Every file that was read."""
