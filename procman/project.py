"""The nouns of a project as procman.toml describes it, and of the files that it becomes: frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from procman.model import BackendName, Directories, HealthSettings, Kind, RenderedDirectory, Scope, SupervisorSettings


class Sandbox(Enum):
    """How much of the host a program under systemd is kept from."""

    DEFAULT = "default"
    STRICT = "strict"
    OFF = "off"


class SystemdLog(Enum):
    """Where a program under systemd logs to."""

    JOURNAL = "journal"
    FILE = "file"


@dataclass(frozen=True)
class Worker:
    """The options of `celery worker`; `None`, empty or False leaves the choice to Celery and the app."""

    node_name: str
    loglevel: str
    queues: tuple[str, ...] = ()
    exclude_queues: tuple[str, ...] = ()
    concurrency: int | None = None
    pool: str | None = None
    autoscale: tuple[int, int] | None = None
    """(maximum, minimum), in Celery's order."""
    prefetch_multiplier: int | None = None
    max_tasks_per_child: int | None = None
    max_memory_per_child_kib: int | None = None
    time_limit_seconds: float | None = None
    soft_time_limit_seconds: float | None = None
    optimization: str | None = None
    events: bool = False
    without_gossip: bool = False
    without_mingle: bool = False
    without_heartbeat: bool = False
    extra_arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Beat:
    """The options of `celery beat`."""

    loglevel: str
    schedule_file: Path | None
    """None where the scheduler keeps its schedule elsewhere (a database)."""
    scheduler: str | None = None
    max_interval_seconds: float | None = None
    extra_arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """Any other command of the project; the first word is looked up in the virtualenv, then in PATH."""

    argv: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """One thing kept running. `instances = 3` has become three of these."""

    name: str
    """As installed: `catmaid-celery`, `catmaid-crop-2`."""
    key: str
    """Its table in procman.toml: `worker.crop`, `beat`, `command.flower`."""
    options: Worker | Beat | Command
    autostart: bool
    stop_timeout_seconds: int
    start_seconds: int
    nice: int
    umask: int
    log_max_mib: int
    log_backups: int
    launcher: bool
    environment: Mapping[str, str] = field(default_factory=dict)
    """`[environment]` of the project with the program's own merged over it."""
    supervisor_options: Mapping[str, str] = field(default_factory=dict)
    memory_high_mib: int | None = None
    memory_max_mib: int | None = None
    cpu_weight: int | None = None
    tasks_max: int | None = None
    systemd_directives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """`[worker.KEY.systemd]`, not merged with the project's: a directive to the values it is to have."""
    heal: bool = True
    """This and the next two are those of `[health]` where the program has none of its own."""
    stall_seconds: int = 300
    memory_restart_mib: int | None = None

    @property
    def kind(self) -> Kind:
        """The kind, which follows from the options."""
        match self.options:
            case Worker():
                return Kind.WORKER
            case Beat():
                return Kind.BEAT
            case Command():
                return Kind.COMMAND


@dataclass(frozen=True)
class SystemdSettings:
    """`[systemd]`: which systemd, and what its units may do."""

    minimum_version: int
    """The oldest systemd that the units are for; it decides which directives are written."""
    sandbox: Sandbox
    log: SystemdLog
    directives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """`[systemd.directives]`: those of every program."""


@dataclass(frozen=True)
class Project:
    """What procman.toml says, complete: paths absolute, defaults filled in, instances expanded."""

    name: str
    configuration_file: Path
    app: str
    directory: Path
    virtualenv: Path
    settings: str | None
    user: str | None
    """None in user scope: the programs run as whoever installed them."""
    group: str | None
    """None: the user's primary group."""
    scope: Scope
    backend: BackendName
    environment_file: Path | None
    python_path: tuple[Path, ...]
    writable_paths: tuple[Path, ...]
    after: tuple[str, ...]
    templates: Path | None
    supervisor: SupervisorSettings
    systemd: SystemdSettings
    health: HealthSettings
    directories: Directories
    programs: tuple[Program, ...]
    """In starting order: workers, commands, beat."""


@dataclass(frozen=True)
class Launch:
    """How a program is started: the one answer for supervisord, systemd, `run` and `check`."""

    argv: tuple[str, ...]
    """The first word is absolute, or a name that is looked up in the environment's PATH."""
    environment: Mapping[str, str]
    environment_file: Path | None
    directory: Path
    user: str | None
    group: str | None
    umask: int
    nice: int


@dataclass(frozen=True)
class RenderedFile:
    """One file as it is to be on disk."""

    path: Path
    content: str
    mode: int
    owner: str | None
    """A user name; None: whoever installs."""
    group: str | None
    programs: tuple[str, ...]
    """The installed names of the programs it concerns."""
    restarts: bool = True
    """Whether a change restarts those programs (R5); otherwise `status` says that a restart is due."""
    section: bool = False
    """The process manager reads it by itself, and must be told of a change."""
    shared: bool = False
    """Also written by other projects of this scope, with the same content; removed with the last of them."""


@dataclass(frozen=True)
class Rendering:
    """Everything that a project puts on disk, parents before children."""

    directories: tuple[RenderedDirectory, ...]
    files: tuple[RenderedFile, ...]


class ChangeKind(Enum):
    """What applying a plan does to one path."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"
    REMOVE = "remove"
