"""The nouns of a project as procman.toml describes it, and of the files that it becomes: frozen records.

Only for reading procman.toml, rendering and installing. What a manifest holds, and what `status` or `health` needs, is
in `model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import ClassVar

from procman.model import (
    NO_DEFAULT,
    BackendName,
    Directories,
    HealthSettings,
    Kind,
    RenderedDirectory,
    Scope,
    SupervisorSettings,
    setting,
)

OLDEST_SYSTEMD = 240
"""The first with `Type=exec` and `StandardOutput=append:`, without which nothing here would work as described."""


class Sandbox(Enum):
    """How much of the host a program under systemd is kept from."""

    DEFAULT = "default"
    STRICT = "strict"
    OFF = "off"


class SystemdLog(Enum):
    """Where a program under systemd logs to."""

    JOURNAL = "journal"
    FILE = "file"


LOGLEVEL = ("-l: the least that is logged.", "LOGLEVEL")
INSTANCES = "How many of it to run; above 1 the names are numbered."
EXTRA_ARGUMENTS = ("Further options of Celery, added to its command line as they are.", "TEXTS")
"""Of keys that more than one kind of program has: the arguments of `setting`."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The options of `celery worker`; `None`, empty or False leaves the choice to Celery and the app.

    Celery 4.4 has all of them, so that no key says since when.
    """

    kind: ClassVar = Kind.WORKER
    loglevel: str = setting("info", *LOGLEVEL)
    queues: tuple[str, ...] = setting((), "-Q: the queues to consume. Left out: those of the app.", "QUEUES")
    exclude_queues: tuple[str, ...] = setting((), "-X: queues of the app not to consume.", "QUEUES")
    concurrency: int | None = setting(
        None, "-c: pool processes or threads. Left out: as the app says.", between=(1, 10_000)
    )
    pool: str | None = setting(
        None,
        "-P: what runs the tasks. Left out: as the app says, which from Celery 5 on also goes before prefork.",
        "POOL",
    )
    autoscale: tuple[int, int] | None = setting(
        None, "--autoscale: most and fewest pool processes; instead of concurrency.", "AUTOSCALE"
    )
    """(maximum, minimum), in Celery's order."""
    prefetch_multiplier: int | None = setting(
        None,
        "--prefetch-multiplier: messages reserved per pool process. Celery takes 0 here for left out: for no limit "
        "the app sets worker_prefetch_multiplier = 0.",
        between=(1, 10_000),
    )
    max_tasks_per_child: int | None = setting(
        None, "--max-tasks-per-child: tasks after which a pool process is replaced.", between=(1,)
    )
    max_memory_per_child_kib: int | None = setting(
        None, "--max-memory-per-child: KiB at which it is replaced.", between=(1,)
    )
    time_limit_seconds: float | None = setting(None, "--time-limit: a task is killed after this.", "SECONDS")
    soft_time_limit_seconds: float | None = setting(
        None, "--soft-time-limit: a task gets an exception after this.", "SECONDS"
    )
    optimization: str | None = setting(
        None, "-O: fair gives a task only to a pool process that is idle.", "OPTIMIZATION"
    )
    events: bool = setting(False, "-E: send events, for monitors and admin pages.")
    node_name: str = setting(
        NO_DEFAULT, "-n: the node name. Left out: NAME-KEY@%h; instances are numbered.", "NODE_NAME", name="hostname"
    )
    without_gossip: bool = setting(False, "--without-gossip: take no notice of the events of other workers.")
    without_mingle: bool = setting(False, "--without-mingle: do not ask other workers at the start.")
    without_heartbeat: bool = setting(False, "--without-heartbeat: send no heartbeat to monitors.")
    instances: int = setting(1, INSTANCES, between=(1, 1000))
    extra_arguments: tuple[str, ...] = setting((), *EXTRA_ARGUMENTS)


@dataclass(frozen=True)
class Beat:
    """The options of `celery beat`."""

    kind: ClassVar = Kind.BEAT
    loglevel: str = setting("info", *LOGLEVEL)
    schedule_file: Path | None = setting(
        None,
        "-s: where beat remembers when things last ran. Left out: celerybeat-schedule in the project's data directory.",
    )
    """None where the scheduler keeps its schedule elsewhere (a database)."""
    scheduler: str | None = setting(None, "-S: the scheduler class. Left out: as the app says.", "SCHEDULER")
    max_interval_seconds: int | None = setting(
        None, "--max-interval: longest sleep between two looks at the schedule.", between=(1,)
    )
    extra_arguments: tuple[str, ...] = setting((), *EXTRA_ARGUMENTS)


@dataclass(frozen=True)
class Command:
    """Any other command of the project; the first word is looked up in the virtualenv, then in PATH."""

    kind: ClassVar = Kind.COMMAND
    argv: tuple[str, ...] = setting(
        NO_DEFAULT, "The command, word by word; looked up in the virtualenv first.", "WORDS", required=True
    )
    instances: int = setting(1, INSTANCES, between=(1, 1000))


@dataclass(frozen=True, kw_only=True)
class Program:
    """One thing kept running. `instances = 3` has become three of these."""

    name: str
    """As installed: `catmaid-celery`, `catmaid-crop-2`."""
    key: str
    """Its table in procman.toml: `worker.crop`, `beat`, `command.flower`."""
    options: Worker | Beat | Command
    environment: Mapping[str, str] = field(default_factory=dict)
    """`[environment]` of the project with the program's own merged over it."""
    supervisor_options: Mapping[str, str] = field(default_factory=dict)
    systemd_directives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """`[worker.KEY.systemd]`, not merged with the project's: a directive to the values it is to have."""
    autostart: bool = setting(True, "Start it when the host or supervisord starts.")
    stop_timeout_seconds: int = setting(
        NO_DEFAULT,
        "How long a stop waits for running tasks before it kills: at least the longest task. "
        "Left out: 600 for a worker, 60 for the rest.",
        between=(1, 604_800),
    )
    start_seconds: int = setting(
        10, "How long it must stay up to count as started; longer than the app takes to import.", between=(0, 3600)
    )
    nice: int = setting(0, "Scheduling priority, 19 being the lowest; below 0 only with systemd.", between=(-20, 19))
    umask: int = setting(0o022, "Permissions that new files do not get.", "UMASK")
    log_max_mib: int = setting(50, "Size in MiB at which the log is rotated.", between=(1, 1_048_576))
    log_backups: int = setting(10, "Rotated logs to keep.", between=(0, 1000))
    launcher: bool = setting(
        True,
        "Start through procman's launcher. false gives the plain command, without environment_file, without waiting "
        "for the process before it, and without an end when supervisord is killed.",
    )
    memory_high_mib: int | None = setting(
        None, "MemoryHigh=: MiB of memory above which it is slowed down. Only with systemd.", between=(1, 2**24)
    )
    memory_max_mib: int | None = setting(
        None,
        "MemoryMax=: MiB of memory above which the kernel kills one of its processes. Only with systemd.",
        between=(1, 2**24),
    )
    cpu_weight: int | None = setting(
        None,
        "CPUWeight=: its share of the processors when they are short; 100 is anybody's. Only with systemd.",
        between=(1, 10_000),
    )
    tasks_max: int | None = setting(
        None,
        "TasksMax=: processes and threads it may have; a worker with numpy needs hundreds. Only with systemd.",
        between=(1,),
    )
    # Those of `[health]`, where the program has none of its own.
    heal: bool = setting(NO_DEFAULT, "Restart it when it is found unsound. Left out: as [health] says.")
    stall_seconds: int = setting(
        NO_DEFAULT,
        "How long messages may wait while it does nothing. Left out: as [health] says.",
        between=(2, 604_800),
    )
    memory_restart_mib: int | None = setting(
        NO_DEFAULT,
        "MiB that it and its processes may use together; above it is restarted, warm. Left out: as [health] says.",
        between=(1, 2**24),
    )

    @property
    def kind(self) -> Kind:
        """The kind, which follows from the options."""
        return self.options.kind


@dataclass(frozen=True)
class SystemdSettings:
    """`[systemd]`: which systemd, and what its units may do."""

    minimum_version: int = setting(
        249,
        "The oldest systemd that the units are for. Newer directives are not written.",
        between=(OLDEST_SYSTEMD, 999),
    )
    sandbox: Sandbox = setting(
        Sandbox.DEFAULT, "How much of the host the programs are kept from. Not all of it can be had in user scope."
    )
    log: SystemdLog = setting(
        SystemdLog.JOURNAL, "Where the programs log to: systemd's journal, or a file each that logrotate rotates."
    )
    directives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """`[systemd.directives]`: those of every program."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """What procman.toml says, complete: paths absolute, defaults filled in, instances expanded."""

    name: str = setting(
        NO_DEFAULT, "Prefixes everything installed: programs are called NAME-KEY.", "NAME", required=True
    )
    configuration_file: Path
    app: str = setting(NO_DEFAULT, "The Celery app, as in celery -A.", "APP", required=True)
    directory: Path = setting(NO_DEFAULT, "The working directory, first on PYTHONPATH.", "SEARCH_PATH", required=True)
    virtualenv: Path = setting(NO_DEFAULT, "The virtualenv whose Python runs Celery.", "SEARCH_PATH", required=True)
    settings: str | None = setting(None, "DJANGO_SETTINGS_MODULE. Left out: the app's own default.", "MODULE")
    user: str | None = setting(
        None, "The user the programs run as. Needed in system scope, not allowed in user scope.", "USER"
    )
    """None in user scope: the programs run as whoever installed them."""
    group: str | None = setting(
        None, "The group the programs run as, under systemd. Left out: the user's own group.", "USER"
    )
    scope: Scope = setting(Scope.SYSTEM, "Whom procman works for: the host (as root) or one user.")
    backend: BackendName = setting(BackendName.SUPERVISOR, "The process manager that keeps the programs running.")
    environment_file: Path | None = setting(
        None, "Secrets, in the syntax of systemd's EnvironmentFile=; readable by root and the service user only."
    )
    public: tuple[str, ...] = setting(
        (), "Variables of [environment] that look like secrets and are none.", "VARIABLES"
    )
    python_path: tuple[Path, ...] = setting((), "Directories on PYTHONPATH behind the project's own.", "SEARCH_PATHS")
    writable_paths: tuple[Path, ...] = setting((), "Directories the tasks write to, such as MEDIA_ROOT.")
    after: tuple[str, ...] = setting((), "Units to start after, such as the broker's.", "UNITS")
    templates: Path | None = setting(
        None, "A directory with templates of your own; each replaces procman's of the same name."
    )
    supervisor: SupervisorSettings
    systemd: SystemdSettings
    health: HealthSettings
    directories: Directories
    programs: tuple[Program, ...]
    """In starting order: workers, commands, beat."""

    @property
    def schedule_files(self) -> tuple[Path, ...]:
        """Return where its beats keep their schedules, as far as that is in files."""
        beats = (program.options for program in self.programs if isinstance(program.options, Beat))
        return tuple(beat.schedule_file for beat in beats if beat.schedule_file)


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
