"""The frozen records of a project as procman.toml describes it, and of the files rendered from it.

They are for reading procman.toml, rendering and installing. Records that a manifest holds, or that `status` or `health`
needs, are in `model`.
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

STANDARD_STREAMS = ("/dev/stdout", "/dev/stderr")
"""The outputs of the process manager itself, such as those of its container."""

OLDEST_SYSTEMD = 240
"""The first version with `Type=exec` and `StandardOutput=append:`, which the units need."""


AUTO = "auto"
"""The concurrency that Celery chooses by the processors and the CPU quota of the program."""


class Sandbox(Enum):
    """How much of the host a program under systemd is cut off from."""

    DEFAULT = "default"
    STRICT = "strict"
    OFF = "off"


class SystemdLog(Enum):
    """Where a program under systemd writes its log."""

    JOURNAL = "journal"
    FILE = "file"


LOGLEVEL = ("Lowest level of the messages that are logged (-l).", "LOGLEVEL")
INSTANCES = "Number of identical programs to run. Above 1, their names end in a number: NAME-KEY-1, NAME-KEY-2."
EXTRA_ARGUMENTS = (
    "More arguments for the Celery command, one word per item, added as they are. For options that have no key.",
    "TEXTS",
)
"""Arguments of `setting` for keys that more than one kind of program has."""

MEMORY_MIB = (
    "Memory, in MiB, of each container: its limit, and what the scheduler reserves. If unset, that of [kubernetes], "
    "else memory_max_mib, else no limit."
)
CPU_MILLICORES = (
    "Processor time, in thousandths of a processor, that the scheduler reserves for each container. If unset, that of "
    "[kubernetes], else nothing is reserved."
)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The options of `celery worker`; `None`, empty or False leaves the choice to Celery and the app.

    Celery 4.4 has all of them, so no key names a version.
    """

    kind: ClassVar[Kind] = Kind.WORKER
    loglevel: str = setting("info", *LOGLEVEL)
    queues: tuple[str, ...] = setting((), "Queues to consume (-Q). If unset, the app's queues.", "QUEUES")
    exclude_queues: tuple[str, ...] = setting((), "Queues of the app that are not consumed (-X).", "QUEUES")
    concurrency: int | str | None = setting(
        None,
        "Number of pool processes or threads (-c), which is the number of tasks that run at the same time. If unset, "
        "the app's worker_concurrency, or the number of processors. With auto, the number of processors that the "
        "program may use (from Celery 5.7 on, only for prefork).",
        "CONCURRENCY",
    )
    """A number, or AUTO."""
    pool: str | None = setting(
        None,
        "Kind of pool that runs the tasks (-P). If unset, the app's worker_pool, or prefork. From Celery 5 on, the "
        "app's setting also overrides prefork here.",
        "POOL",
    )
    autoscale: tuple[int, int] | None = setting(
        None,
        "Maximum and minimum number of pool processes (--autoscale), instead of a fixed concurrency.",
        "AUTOSCALE",
    )
    """(maximum, minimum), in Celery's order."""
    prefetch_multiplier: int | None = setting(
        None,
        "Number of messages that the worker reserves per pool process (--prefetch-multiplier). Use 1 for long tasks. "
        "If unset, the app's setting. For no limit, set worker_prefetch_multiplier = 0 in the app: Celery ignores a 0 "
        "on the command line.",
        between=(1, 10_000),
    )
    max_tasks_per_child: int | None = setting(
        None,
        "Number of tasks after which a pool process is replaced (--max-tasks-per-child). Set it if tasks leak memory.",
        between=(1,),
    )
    max_memory_per_child_kib: int | None = setting(
        None,
        "Memory, in KiB, above which a pool process is replaced after its task (--max-memory-per-child).",
        between=(1,),
    )
    time_limit_seconds: float | None = setting(
        None,
        "Time, in seconds, after which a task is killed (--time-limit). stop_timeout_seconds should be longer.",
        "SECONDS",
    )
    soft_time_limit_seconds: float | None = setting(
        None,
        "Time, in seconds, after which SoftTimeLimitExceeded is raised in a task (--soft-time-limit).",
        "SECONDS",
    )
    handback_seconds: int = setting(
        10,
        "Time, in seconds, before the end of stop_timeout_seconds at which a worker that is still busy returns to the "
        "broker what it can. At most half of stop_timeout_seconds counts. 0 turns this off: the worker is killed with "
        "what it holds. See procman explain stopping.",
        between=(0, 86_400),
    )
    overlap: bool = setting(
        False,
        "Restart the worker by starting its successor first: once that consumes, the earlier process returns what it "
        "has not started and finishes its running tasks, however long they take. See procman explain overlap.",
    )
    overlap_max: int = setting(
        2,
        "Number of earlier processes of the worker that may still finish their tasks. A further overlap restart is "
        "refused until one of them has ended. Only with overlap = true.",
        between=(1, 5),
    )
    optimization: str | None = setting(
        None, "How tasks are given to pool processes (-O): fair gives them only to idle ones.", "OPTIMIZATION"
    )
    events: bool = setting(False, "Send task events (-E), which Flower and other monitors need.")
    node_name: str = setting(
        NO_DEFAULT,
        "Node name (-n). If unset, NAME-KEY@%h. A name without @ gets celery@ in front, as in Celery. With several "
        "instances, their number comes before the @.",
        "NODE_NAME",
        name="hostname",
    )
    without_gossip: bool = setting(False, "Do not listen to the events of other workers (--without-gossip).")
    without_mingle: bool = setting(False, "Do not synchronise with other workers at the start (--without-mingle).")
    without_heartbeat: bool = setting(False, "Do not send Celery's own heartbeat events (--without-heartbeat).")
    instances: int = setting(1, INSTANCES, between=(1, 1000))
    extra_arguments: tuple[str, ...] = setting((), *EXTRA_ARGUMENTS)


@dataclass(frozen=True)
class Beat:
    """The options of `celery beat`."""

    kind: ClassVar[Kind] = Kind.BEAT
    loglevel: str = setting("info", *LOGLEVEL)
    schedule_file: Path | None = setting(
        None,
        "File in which beat records when each entry last ran (-s). Keep it on a disk that survives a reboot. If unset, "
        "celerybeat-schedule in the project's data directory: /var/lib/NAME in system scope.",
    )
    """None if the scheduler keeps its schedule elsewhere (a database)."""
    scheduler: str | None = setting(
        None, "Scheduler class, or its short name (-S). If unset, the app's beat_scheduler.", "SCHEDULER"
    )
    max_interval_seconds: int | None = setting(
        None,
        "Longest time, in seconds, that beat sleeps between two checks of its schedule (--max-interval).",
        between=(1,),
    )
    extra_arguments: tuple[str, ...] = setting((), *EXTRA_ARGUMENTS)


@dataclass(frozen=True)
class Command:
    """Any other command of the project; its first word is searched for in the virtualenv, then in `PATH`."""

    kind: ClassVar[Kind] = Kind.COMMAND
    argv: tuple[str, ...] = setting(
        NO_DEFAULT,
        "The command, one word per item. The first word is searched for in the virtualenv, then in PATH. No shell is "
        "involved.",
        "WORDS",
        required=True,
    )
    """With the number of the instance filled in, like `reload_command`."""
    instances: int = setting(
        1,
        f"{INSTANCES} {{instance}} in argv, in reload_command and in the command's own environment stands for that "
        "number, {instance:02} for two digits of it; the command also gets it as PROCMAN_INSTANCE.",
        between=(1, 1000),
    )
    first_instance: int = setting(
        1, "Number of the first instance, such as 0 for ports that are counted from 8000.", between=(0, 100_000)
    )
    number: int = 1
    """The number of this instance."""
    stop_signal: str = setting(
        "TERM",
        "Signal on which the command ends gracefully. Huey needs INT: on TERM it interrupts its tasks. uwsgi reloads "
        "on TERM, and cuts requests off on INT and QUIT: see procman explain companions.",
        "SIGNAL",
    )
    reload_signal: str | None = setting(
        None,
        "Signal on which the command reloads its code or configuration, such as HUP, for procman reload. If unset, the "
        "command cannot be reloaded.",
        "SIGNAL",
    )
    reload_command: tuple[str, ...] = setting(
        (),
        "Command that makes the program reload, instead of reload_signal, one word per item. It runs as the program's "
        "user, in its directory and environment, with the pid of its main process as MAINPID, for at most 90 seconds.",
        "RELOAD_WORDS",
    )
    directory: Path | None = setting(None, "Working directory of the command. If unset, that of the project.")
    user: str | None = setting(
        None,
        "User that the command runs as; not root. If unset, that of the project. In user scope the key is not allowed.",
        "USER",
    )
    group: str | None = setting(
        None,
        "Group that the command runs as. If unset, that of the project, or the primary group of the command's own "
        "user.",
        "USER",
    )
    environment_file: Path | None = setting(
        None,
        "File with variables that are secret, instead of the project's environment_file. If unset, the command gets "
        "those of the project, whatever its user.",
    )
    stdout: Path | None = setting(
        None,
        "File that standard output is written to, instead of the program's log, or /dev/stdout or /dev/stderr: the "
        "output of supervisord itself, such as that of a container. The process manager opens a file as root, so its "
        "directory has to belong to root.",
        "LOG_FILE",
    )
    stderr: Path | None = setting(
        None, "File that standard error is written to, as stdout. If unset, it follows standard output.", "LOG_FILE"
    )


@dataclass(frozen=True)
class KubernetesProgram:
    """`[worker.NAME.kubernetes]`: what a program needs in Kubernetes, beside the keys of every target."""

    memory_mib: int | None = setting(None, MEMORY_MIB, between=(1, 2**24))
    cpu_millicores: int | None = setting(None, CPU_MILLICORES, between=(1, 1_000_000))
    max_replicas: int | None = setting(
        None,
        "Largest number of pods to which KEDA scales the worker. Only with keda_broker and queues. If unset, 10.",
        between=(1, 1000),
    )


@dataclass(frozen=True, kw_only=True)
class Program:
    """One thing kept running. `instances = 3` makes three programs."""

    name: str
    """As installed: `catmaid-celery`, `catmaid-crop-2`."""
    key: str
    """Its table in procman.toml: `worker.crop`, `beat`, `command.flower`."""
    options: Worker | Beat | Command
    environment: Mapping[str, str] = field(default_factory=dict)
    """`[environment]` of the project, overridden by the program's own."""
    supervisor_options: Mapping[str, str] = field(default_factory=dict)
    systemd_directives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """`[worker.KEY.systemd]`, not merged with the project's: the values of each directive."""
    kubernetes: KubernetesProgram = field(default_factory=KubernetesProgram)
    """`[worker.KEY.kubernetes]`, not merged with `[kubernetes]`."""
    autostart: bool = setting(
        True, "Start the program at boot, or when supervisord starts. Set it to false to start it by hand."
    )
    stop_timeout_seconds: int = setting(
        NO_DEFAULT,
        "Time, in seconds, that a stop or restart waits for running tasks before it kills the program. Set it to at "
        "least the duration of the longest task. If unset, 600 for a worker, 60 for beat and commands.",
        between=(1, 604_800),
    )
    start_seconds: int = setting(
        10,
        "Time, in seconds, that the program must stay up to count as started. Set it to more than the app takes to "
        "import.",
        between=(0, 3600),
    )
    nice: int = setting(
        0,
        "Scheduling priority, from -20 (highest) to 19 (lowest). Below 0 only with systemd in system scope.",
        between=(-20, 19),
    )
    umask: int = setting(0o022, "File mode creation mask: permissions that new files do not get.", "UMASK")
    log_max_mib: int = setting(
        50, "Size, in MiB, at which the log file is rotated. No effect on systemd's journal.", between=(1, 1_048_576)
    )
    log_backups: int = setting(
        10, "Number of rotated log files to keep. No effect on systemd's journal.", between=(0, 1000)
    )
    launcher: bool = setting(
        True,
        "Start the program through procman's launcher. With false, the plain command is started: it writes no "
        "heartbeat, hands nothing back before it is killed, does not wait for an earlier process that still runs, and "
        "does not stop if supervisord is killed; under supervisord it cannot have an environment_file either.",
    )
    wrapper: tuple[str, ...] = setting(
        (),
        'Command that runs the program under it, one word per item, such as ["ddtrace-run"]. It has to replace itself '
        "with the command that follows it (exec). The first word is searched for in the virtualenv, then in PATH.",
        "WRAPPER",
    )
    adopts: tuple[str, ...] = setting(
        (),
        "Existing programs that this one replaces, such as systemd:celery.service or "
        "supervisor:/etc/supervisor/conf.d/celery.conf:celery. The first install stops each of them gracefully before "
        "it starts this program; uninstall restores them. procman init --from writes this key.",
        "SOURCES",
    )
    memory_high_mib: int | None = setting(
        None,
        "Memory, in MiB, above which the program is slowed down (MemoryHigh=). Only with systemd.",
        between=(1, 2**24),
    )
    memory_max_mib: int | None = setting(
        None,
        "Memory, in MiB, above which the kernel kills one of the program's processes (MemoryMax=). Only with systemd.",
        between=(1, 2**24),
    )
    cpu_weight: int | None = setting(
        None,
        "Share of processor time when processors are busy (CPUWeight=); systemd's own default is 100. Only with "
        "systemd.",
        between=(1, 10_000),
    )
    tasks_max: int | None = setting(
        None,
        "Number of processes and threads that the program may have (TasksMax=). A worker with numpy needs hundreds. "
        "Only with systemd.",
        between=(1,),
    )
    # The keys of `[health]` that a program can override.
    heal: bool = setting(NO_DEFAULT, "Restart the program if it is unhealthy. If unset, the value of [health].")
    stall_seconds: int = setting(
        NO_DEFAULT,
        "Time, in seconds, after which the program is unhealthy if messages wait and it makes no progress. If unset, "
        "the value of [health].",
        between=(2, 604_800),
    )
    memory_restart_mib: int | None = setting(
        NO_DEFAULT,
        "Memory, in MiB, that the program and its child processes may use together. Above this, it is restarted "
        "gracefully. If unset, the value of [health].",
        between=(1, 2**24),
    )

    @property
    def kind(self) -> Kind:
        """Return the kind, which follows from the type of `options`."""
        return self.options.kind


@dataclass(frozen=True)
class SystemdSettings:
    """`[systemd]`: the version the units are for, and their sandbox and log."""

    minimum_version: int = setting(
        249,
        "Oldest version of systemd that the units must work with; newer directives are left out. Set it to the "
        "version of your hosts (systemctl --version).",
        between=(OLDEST_SYSTEMD, 999),
    )
    sandbox: Sandbox = setting(
        Sandbox.DEFAULT,
        "How far the units cut the programs off from the host. strict also hides home directories and the Internet; "
        "off leaves the sandbox out, for programs that fail in it. User scope has only a part of it.",
    )
    log: SystemdLog = setting(
        SystemdLog.JOURNAL,
        "Where the programs log: to systemd's journal, or each to a file that logrotate rotates (in system scope below "
        "/var/log/NAME).",
    )
    directives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """`[systemd.directives]`: the directives of every unit."""


@dataclass(frozen=True)
class KubernetesSettings:
    """`[kubernetes]`: what the export to Kubernetes needs beside the keys of every target."""

    image: str | None = setting(
        None,
        "Image with the project and its virtualenv. If unset, the name of the project, which your overlay replaces. "
        "The export to Compose uses it too.",
        "IMAGE",
    )
    version: str = setting(
        "1.28",
        "Oldest version of Kubernetes that the manifests must work with; newer fields are left out.",
        "KUBERNETES_VERSION",
    )
    platform: str | None = setting(
        None,
        "Platform with a limit of its own on the time that a stop may take: fargate (120 seconds). If unset, any stop "
        "timeout is accepted.",
        "PLATFORM",
    )
    user_id: int | None = setting(
        None,
        "Number of the user in the image that the programs run as; not root. If unset, 1000.",
        between=(1, 2**31 - 1),
    )
    group_id: int = setting(
        1000, "Number of the group that the programs run as and that volumes belong to.", between=(1, 2**31 - 1)
    )
    memory_mib: int | None = setting(
        None,
        "Memory, in MiB, of each container, unless the program has its own. If unset, memory_max_mib, else no limit.",
        between=(1, 2**24),
    )
    cpu_millicores: int | None = setting(
        None,
        "Processor time, in thousandths of a processor, that the scheduler reserves for each container, unless the "
        "program has its own. If unset, nothing is reserved.",
        between=(1, 1_000_000),
    )
    schedule_mib: int = setting(100, "Size, in MiB, of the volume for the schedule file of beat.", between=(1, 2**20))
    keda_broker: str | None = setting(
        None,
        "Broker whose queues KEDA asks, to scale the workers that have the key queues. If unset, no ScaledObject is "
        "rendered.",
        "KEDA_BROKER",
    )
    egress_ports: tuple[int, ...] = setting(
        (),
        "TCP ports of the broker, the result backend and the database: a NetworkPolicy then allows only these and DNS. "
        "If empty, no NetworkPolicy is rendered.",
        "PORTS",
    )


@dataclass(frozen=True, kw_only=True)
class Project:
    """The whole of procman.toml: paths are absolute, defaults filled in, instances expanded."""

    name: str = setting(
        NO_DEFAULT,
        "Name of the project, which begins the name of everything installed: programs are called NAME-KEY.",
        "NAME",
        required=True,
    )
    configuration_file: Path
    configuration_text: str | None = None
    """The content of procman.toml if it came from standard input; `configuration_file` is then no path."""
    app: str = setting(NO_DEFAULT, "The Celery app, as in celery -A.", "APP", required=True)
    directory: Path = setting(
        NO_DEFAULT,
        "Working directory of the programs; also the first entry of PYTHONPATH.",
        "SEARCH_PATH",
        required=True,
    )
    virtualenv: Path = setting(
        NO_DEFAULT,
        "The virtualenv, or environment of conda, in which the project and Celery are installed.",
        "SEARCH_PATH",
        required=True,
    )
    settings: str | None = setting(
        None, "Django's settings module (DJANGO_SETTINGS_MODULE). If unset, the app's own default.", "MODULE"
    )
    user: str | None = setting(
        None,
        "User that the programs run as; not root. Required in system scope. In user scope the programs run as the user "
        "who installs them, and the key is not allowed.",
        "USER",
    )
    """None in user scope: the programs run as the user who installs them."""
    group: str | None = setting(
        None,
        "Group that the programs run as. If unset, the user's primary group. Under supervisord the start scripts then "
        "begin as root, and set user and group themselves.",
        "USER",
    )
    scope: Scope = setting(
        Scope.SYSTEM,
        "Whether the programs are installed for the host (system, as root) or for one user, without root (user).",
    )
    backend: BackendName = setting(BackendName.SUPERVISOR, "Process manager that keeps the programs running.")
    environment_file: Path | None = setting(
        None,
        "File with variables that are secret, such as the broker's URL, in the syntax of systemd's EnvironmentFile=. "
        "procman does not change or copy it. Make it readable only by root and the user that the programs run as.",
    )
    public: tuple[str, ...] = setting(
        (), "Variables of [environment] that look like secrets, but are not.", "VARIABLES"
    )
    python_path: tuple[Path, ...] = setting((), "More directories for PYTHONPATH, after directory.", "SEARCH_PATHS")
    writable_paths: tuple[Path, ...] = setting(
        (), "Directories that tasks write to, such as MEDIA_ROOT. systemd's sandbox makes most others read-only."
    )
    after: tuple[str, ...] = setting(
        (),
        "systemd units that start before the programs and stop after them: those of the broker, the database and the "
        "cache on this host. procman does not start them. No effect in user scope, and under an existing supervisord "
        "only with extend_stop_timeout.",
        "UNITS",
    )
    accept: tuple[str, ...] = setting(
        (),
        "Codes of warnings that you know and accept, such as PM773. Every command shows such a warning only as "
        "accepted; a critical result of the same check is still reported.",
        "CODES",
    )
    beside: tuple[str, ...] = setting(
        (),
        "Other workers of the app on this host that are meant to run beside the project's, and beats that use another "
        "broker, each by its node name, its systemd unit or its program name in supervisord. procman does not report "
        "them as duplicates.",
        "OTHER_PROGRAMS",
    )
    templates: Path | None = setting(
        None, "Directory with your own templates; each replaces procman's template of the same name."
    )
    supervisor: SupervisorSettings
    systemd: SystemdSettings
    kubernetes: KubernetesSettings = KubernetesSettings()
    health: HealthSettings
    directories: Directories
    programs: tuple[Program, ...]
    """In starting order: workers, commands, beat."""

    @property
    def schedule_files(self) -> tuple[Path, ...]:
        """Return the schedule files of its beats; a scheduler with a database has none."""
        beats = (program.options for program in self.programs if isinstance(program.options, Beat))
        return tuple(beat.schedule_file for beat in beats if beat.schedule_file)


@dataclass(frozen=True)
class Launch:
    """How a program is started; the same for supervisord, systemd, `run` and `check`."""

    argv: tuple[str, ...]
    """The first word is an absolute path, or a name that is searched for in the environment's `PATH`."""
    environment: Mapping[str, str]
    environment_file: Path | None
    directory: Path
    user: str | None
    group: str | None
    umask: int
    nice: int


@dataclass(frozen=True)
class RenderedFile:
    """One file to install."""

    path: Path
    content: str
    mode: int
    owner: str | None
    """A user name; None: the user who installs."""
    group: str | None
    programs: tuple[str, ...]
    """The installed names of the programs that use it."""
    restarts: bool = True
    """Whether a change restarts those programs (R5); otherwise `status` shows that a restart is due."""
    section: bool = False
    """Whether the process manager reads it, and has to reload after a change."""
    shared: bool = False
    """Whether other projects of the scope install the same file; it is removed with the last of them."""
    overlaps: bool = False
    """Whether a change restarts those programs by an overlap, because only the processes of a keeper use it."""


@dataclass(frozen=True)
class Rendering:
    """Everything that a project installs, parents before children."""

    directories: tuple[RenderedDirectory, ...]
    files: tuple[RenderedFile, ...]


class ChangeKind(Enum):
    """What applying a plan does to one path."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"
    REMOVE = "remove"
