"""The nouns of procman: frozen records that every layer shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path

MARKER = "Written by procman"
"""Stands in every rendered file that can hold a comment, and says whose it is."""


class Scope(Enum):
    """Who procman works for: the host (as root) or one user. It decides every directory."""

    SYSTEM = "system"
    USER = "user"


class BackendName(Enum):
    """The process manager that keeps the programs running."""

    SUPERVISOR = "supervisor"
    SYSTEMD = "systemd"


class SupervisorMode(Enum):
    """Whose supervisord: one that is already there, or procman's own."""

    EXISTING = "existing"
    EMBEDDED = "embedded"


class Sandbox(Enum):
    """How much of the host a program under systemd is kept from."""

    DEFAULT = "default"
    STRICT = "strict"
    OFF = "off"


class SystemdLog(Enum):
    """Where a program under systemd logs to."""

    JOURNAL = "journal"
    FILE = "file"


class Kind(Enum):
    """What a program runs."""

    WORKER = "worker"
    BEAT = "beat"
    COMMAND = "command"
    HEALTH = "health"
    """procman's own, which looks after the others; no table of procman.toml makes one."""


class State(Enum):
    """The state of a program, in supervisord's words under every backend."""

    RUNNING = "RUNNING"
    STARTING = "STARTING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"


class Level(IntEnum):
    """The outcome of a check, numbered as monitoring plugins number theirs."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True)
class HealthSettings:
    """`[health]`: when a program counts as unsound, and what is then done."""

    heal: bool = True
    heartbeat_seconds: int = 5
    stale_seconds: int = 30
    stall_seconds: int = 300
    watchdog_seconds: int = 30
    interval_seconds: int = 30
    failures: int = 3
    """Looks in a row that must find the same before anything is done."""
    restarts_per_hour: int = 3
    memory_restart_mib: int | None = None
    free_space_mib: int = 500
    management_url: str | None = None
    on_event: tuple[str, ...] = ()
    procman: Path | None = None
    """The command that looks from outside; None: nobody does."""


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
class SupervisorSettings:
    """`[supervisor]`: which supervisord, and where it reads programs from."""

    mode: SupervisorMode
    configuration: Path
    """supervisord's own file; in embedded mode the one that procman writes."""
    include: str
    """The pattern of its `[include]` that our files match, such as `/etc/supervisor/conf.d/*.conf`."""
    supervisord: Path | None = None
    """The command that a systemd unit of procman's starts its own supervisord with; None: no unit."""
    extend_stop_timeout: bool = False
    """Whether a drop-in has the unit of an existing supervisord wait until all of its programs can have stopped."""


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
class Directories:
    """Every place procman writes to; which they are follows from the scope alone."""

    configuration: Path
    """Start scripts: /etc/procman/PROJECT."""
    state: Path
    """Generations and run/PROGRAM: /var/lib/procman/PROJECT."""
    logs: Path
    """Opened by root under supervisord, so owned by root: /var/log/PROJECT."""
    library: Path
    """The launcher: /usr/local/lib/procman/PROJECT."""
    data: Path
    """The project's own data, such as beat's schedule: /var/lib/PROJECT."""
    shared_configuration: Path
    """What all projects of the scope share, such as the embedded supervisord: /etc/procman."""
    shared_state: Path
    """The installation lock and the embedded supervisord's socket and log: /var/lib/procman."""
    units: Path
    """systemd's own place for units of the administrator, or of the user: /etc/systemd/system."""

    def run(self, program: str) -> Path:
        """Where PROGRAM keeps its lock and heartbeat; it belongs to the program's user."""
        return self.state / "run" / program


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
class RenderedDirectory:
    """A directory that is to exist. One that is already there keeps its mode and owner."""

    path: Path
    mode: int
    owner: str | None
    group: str | None
    shared: bool = False


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


@dataclass(frozen=True)
class InstalledProgram:
    """What a manifest remembers of a program; enough to run it without procman.toml."""

    name: str
    key: str
    kind: Kind
    autostart: bool
    stop_timeout_seconds: int
    start_seconds: int
    launcher: bool
    user: str | None
    log_file: str | None
    """None where the process manager keeps the log itself (the journal)."""
    pool: str | None = None
    concurrency: int | None = None
    heal: bool = True
    stall_seconds: int = 300
    memory_restart_mib: int | None = None
    left_stopped: bool = False
    """Somebody had stopped it when it was handed to a process manager that has not started it since."""


class Action(Enum):
    """What the process manager must be told once the files are in place."""

    ADD = "add"
    """A new program: load it; it starts if autostart says so."""
    REPLACE = "replace"
    """Its section or unit changed: stop warm, load anew, start if it was wanted."""
    RESTART = "restart"
    """Only a file behind its section changed: stop warm and start, if it was wanted."""
    REMOVE = "remove"
    """No longer configured: stop warm and unload."""


@dataclass(frozen=True)
class Activation:
    """One pending order to the process manager; recorded before the first file changes, struck off when done (R2)."""

    action: Action
    program: InstalledProgram
    wanted: bool | None = None
    """Whether it was to run, as asked just before the order was first carried out and recorded then: after an
    interruption procman's own stop must not pass for a person's (R2, R11). None: not asked yet."""
    old_stop_timeout_seconds: int | None = None
    """What the section that is still loaded allows; when the new one allows more, a running task gets the more."""


@dataclass(frozen=True)
class ProgramState:
    """What a backend says of one program."""

    name: str
    wanted: bool
    """Whether it should run: autostart at first, then whatever the last start or stop by anyone asked for."""
    state: State
    pid: int | None = None
    since: float | None = None
    """Seconds since the epoch at which the process was started, or the state was entered."""
    restarts: int | None = None
    """Restarts by the backend itself since the last order; None where it cannot be told."""
    detail: str = ""
    """The backend's own words, such as an exit status."""


@dataclass(frozen=True)
class Result:
    """What a check found out about a program, or about the project as a whole (`program` is None)."""

    code: str
    program: str | None
    level: Level
    detail: str
    hint: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
