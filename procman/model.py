"""The frozen records that all parts of procman share, above all the installed programs and their state.

A record belongs here if a manifest holds it, or if `status` or `health` needs it. All others are in `project`, because
importing it would slow those two commands down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field
from enum import Enum, IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from procman.records import record

MARKER = "Written by procman"
"""The comment by which procman recognises its own files; in every rendered file that can hold one."""


SLOTS = "abcdef"
"""As in agent/slots.py: the names of the slots of a worker that overlaps."""


T = TypeVar("T")

NO_DEFAULT: Any = MISSING
"""Marks a field without a default."""

JSON_NAME = "json_name"
"""Metadata of a field: its key in records on disk, if an earlier procman used another name."""

LATER = "later"
"""Metadata of a field that was added after the first release (`is_left_out`)."""


def setting(
    default: T,
    help_: str,
    value: str = "",
    *,
    between: tuple[int, ...] = (),
    name: str = "",
    required: bool = False,
    later: bool = False,
) -> T:
    """Return a field that is also a key of procman.toml, with the same `default` (`NO_DEFAULT`: none).

    The annotation of the field decides which values the key accepts: a flag, a path, a list of paths, a word of an
    enumeration, or a whole number `between` a minimum and an optional maximum; for all else `value` names one of
    `config.value_types`. `name` is the key in procman.toml if it differs from the field. `help_` describes the key in
    the JSON Schema, the reference and the man page; for an optional key without a default it also states what happens
    if the key is unset. A key of `[health]` added after the first release is `later` (`is_left_out`). This is plain
    data for `config.keys`, because `status` imports the records and reads no key.
    """
    metadata = {"help": help_, "value": value, "between": between, "name": name, "required": required, LATER: later}
    return field(default=default, metadata=metadata)


def is_left_out(of: Field[Any], value: object) -> bool:
    """Return whether manifests and start scripts omit the field `of`: it is `later`, and `value` is its default.

    The watcher of an older procman may still run, and it refuses a manifest with an unknown key. A new variable in a
    start script would restart the program.
    """
    return bool(of.metadata.get(LATER)) and value == of.default


class Scope(Enum):
    """Whether procman works for the host (as root) or for one user; it decides every directory."""

    SYSTEM = "system"
    USER = "user"


class BackendName(Enum):
    """The process manager that keeps the programs running."""

    SUPERVISOR = "supervisor"
    SYSTEMD = "systemd"


class SupervisorMode(Enum):
    """Which supervisord runs the programs: an existing one, or procman's own."""

    EXISTING = "existing"
    EMBEDDED = "embedded"


class Kind(Enum):
    """The kind of a program."""

    WORKER = "worker"
    BEAT = "beat"
    COMMAND = "command"
    HEALTH = "health"
    """The watcher, which monitors the other programs; procman adds it, without a table in procman.toml."""


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
    """The outcome of a check, numbered as the exit status of a monitoring plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@record(frozen=True)
class HealthSettings:
    """`[health]`: when a program is unhealthy, and what happens then."""

    heal: bool = setting(
        True,
        "Restart unhealthy programs automatically. A program that is only busy, was stopped on purpose or is held "
        "(procman hold) is left alone. Set it to false to get reports without restarts.",
    )
    heartbeat_seconds: int = setting(
        5, "Interval, in seconds, at which each worker and beat writes its heartbeat.", between=(1, 3600)
    )
    stale_seconds: int = setting(
        30,
        "Age, in seconds, above which a heartbeat is stale and its program counts as stuck. At least twice "
        "heartbeat_seconds. Raise it on a host that is often overloaded.",
        between=(2, 86_400),
    )
    stall_seconds: int = setting(
        300,
        "Time, in seconds, after which a worker is unhealthy if messages wait while it is idle, or if it makes no "
        "progress with messages that it has reserved. A busy worker may take longer.",
        between=(2, 604_800),
    )
    watchdog_seconds: int = setting(
        30,
        "Time, in seconds, that a main process may be frozen before systemd restarts it (WatchdogSec=). At least "
        "twice heartbeat_seconds. Only with systemd.",
        between=(2, 86_400),
    )
    interval_seconds: int = setting(30, "Interval, in seconds, between two health checks.", between=(1, 3600))
    failures: int = setting(
        3, "Number of health checks in a row that must fail before a program is restarted.", between=(1, 1000)
    )
    restarts_per_hour: int = setting(
        3,
        "Number of times within an hour that an unhealthy program is restarted. After that, its condition is only "
        "reported. 0 disables these restarts.",
        between=(0, 1000),
    )
    memory_restart_mib: int | None = setting(
        None,
        "Memory, in MiB, that a program and its child processes may use together. Above this, the program is "
        "restarted gracefully. If unset, there is no limit.",
        between=(1, 2**24),
    )
    free_space_mib: int = setting(
        500,
        "Free space, in MiB, below which a disk is reported with a warning; below a tenth of it as critical.",
        between=(1, 2**40),
    )
    management_url: str | None = setting(
        None,
        "URL of RabbitMQ's management interface, such as http://127.0.0.1:15672, to check the broker's alarms. procman "
        "logs in with the user and password of the app's broker URL. If unset, alarms are not checked.",
        "HTTP_URL",
    )
    on_event: tuple[str, ...] = setting(
        (),
        "Command that is run for each health event, one word per item; it gets the event as JSON on its standard "
        "input. Use it to send mail or to page someone.",
        "EVENT_COMMAND",
    )
    procman: Path | None = setting(
        None,
        "The procman command that monitors the programs from outside, such as /opt/procman/bin/procman. If unset, "
        "only the programs themselves and systemd's watchdog can restart a stuck program.",
    )


@record(frozen=True)
class SupervisorSettings:
    """`[supervisor]`: which supervisord runs the programs, and where it reads them from."""

    mode: SupervisorMode = setting(
        NO_DEFAULT,
        "Which supervisord runs the programs: an existing one of the host, or procman's own (embedded), which all "
        "projects of the scope share. If unset, existing in system scope and embedded in user scope.",
    )
    configuration: Path = setting(
        NO_DEFAULT,
        "Configuration file of the existing supervisord. If unset, Debian's /etc/supervisor/supervisord.conf; required "
        'in user scope. Only with mode = "existing".',
    )
    """In embedded mode the file that procman writes."""
    include: str = setting(
        NO_DEFAULT,
        "The pattern in the [include] section of that file that procman's files have to match. If unset, the pattern "
        "that Debian or Red Hat ship, if configuration names their file; required otherwise. Only with "
        'mode = "existing".',
        "INCLUDE",
    )
    supervisord: Path | None = setting(
        None,
        "The supervisord command that systemd starts at boot, such as /opt/procman/bin/supervisord. If unset, procman "
        'starts its supervisord itself at an install, and nothing starts it at boot. Only with mode = "embedded".',
    )
    extend_stop_timeout: bool = setting(
        False,
        "Raise the stop timeout of the supervisord unit that Debian or Red Hat ship, so that a shutdown of the host "
        "waits for running tasks, and stop it before the units in after. procman installs drop-ins and updates them at "
        'every install and uninstall. Only in system scope with mode = "existing".',
    )


@record(frozen=True)
class Directories:
    """Every directory procman writes to, decided by the scope and the name of the project alone."""

    configuration: Path
    """Start scripts: /etc/procman/PROJECT."""
    state: Path
    """Generations and run/PROGRAM: /var/lib/procman/PROJECT."""
    logs: Path
    """Owned by root, because supervisord opens logs as root: /var/log/PROJECT."""
    library: Path
    """The launcher: /usr/local/lib/procman/PROJECT."""
    data: Path
    """The project's own data, such as beat's schedule: /var/lib/PROJECT."""
    shared_configuration: Path
    """Shared by all projects of the scope, such as the embedded supervisord: /etc/procman."""
    shared_state: Path
    """The installation lock and the embedded supervisord's socket and log: /var/lib/procman."""
    units: Path
    """systemd's directory for units of the administrator, or of the user: /etc/systemd/system."""

    def run(self, program: str) -> Path:
        """Return the directory of the lock and heartbeat of `program`; it belongs to the program's user."""
        return self.state / "run" / program

    def runs(self, program: str, overlap_max: int) -> tuple[Path, ...]:
        """Return that directory, and those of the further slots of a worker that overlaps (agent/slots.py)."""
        further = (self.run(f"{program}-{slot}") for slot in SLOTS[1 : overlap_max + 1])
        return (self.run(program), *(further if overlap_max else ()))


@record(frozen=True)
class RenderedDirectory:
    """A directory to create. An existing one keeps its mode and owner."""

    path: Path
    mode: int
    owner: str | None
    group: str | None
    shared: bool = False


@record(frozen=True)
class InstalledProgram:
    """A program as a manifest records it; enough to run it without procman.toml."""

    name: str
    key: str
    kind: Kind
    autostart: bool
    stop_timeout_seconds: int
    start_seconds: int
    launcher: bool
    user: str | None
    log_file: str | None
    """None if the process manager keeps the log itself (the journal), or writes it to its own output."""
    pool: str | None = None
    concurrency: int | None = None
    heal: bool = HealthSettings.heal
    stall_seconds: int = HealthSettings.stall_seconds
    memory_restart_mib: int | None = HealthSettings.memory_restart_mib
    left_stopped: bool = False
    """It was stopped on purpose when it moved to another process manager, and has not been started there since."""
    error_log: str | None = field(default=None, metadata={LATER: True})
    """The file of its standard error, if that has one of its own."""
    environment_file: Path | None = field(default=None, metadata={LATER: True})
    """The file of a command that has its own; None: that of the project."""
    stop_signal: str = field(default="TERM", metadata={LATER: True})
    reload_signal: str | None = field(default=None, metadata={LATER: True})
    reload_command: tuple[str, ...] = field(default=(), metadata={LATER: True})
    overlap_max: int = field(default=0, metadata={LATER: True})
    """How many earlier processes may drain beside the one that consumes; 0: it has no keeper and cannot overlap."""

    @property
    def can_reload(self) -> bool:
        """Return whether it can reload without a restart, by its signal or its command."""
        return bool(self.reload_signal or self.reload_command)

    @property
    def log_files(self) -> tuple[str, ...]:
        """The files that it logs to; the one with its errors last."""
        return tuple(file for file in (self.log_file, self.error_log) if file)


@record(frozen=True)
class Link:
    """A symbolic link, with its target as it is written in the link."""

    path: Path
    target: str


@record(frozen=True)
class Adopted:
    """An existing program that a project took over, with what is needed to bring it back and to watch for it."""

    source: str
    """As in the key `adopts`: `systemd:celery.service`."""
    program: str
    """The program of the project that takes its place; the first one, if there are several."""
    was_running: bool
    was_enabled: bool
    manager: str = ""
    """How to reach what ran it, such as the supervisord.conf; empty if that is clear from the source."""
    links: tuple[Link, ...] = ()
    """The links that were removed when it was stopped: those of its unit."""


@record(frozen=True)
class Adoption:
    """Existing programs that stop as a whole, for programs of the project; recorded before any file changes (R2)."""

    label: str
    """What messages call it: `[program:celery] of /etc/supervisor/conf.d/celery.conf`."""
    adopted: tuple[Adopted, ...]
    processes: tuple[str, ...] = ()
    """What the adopter needs in order to find it, once its files are changed."""
    has_beat: bool = False
    """Whether it stops before every other program."""


class Action(Enum):
    """What the process manager has to do once the files are installed."""

    ADD = "add"
    """A new program: load it; it starts if `autostart` is true."""
    REPLACE = "replace"
    """Its section or unit changed: stop it gracefully, load it again, start it if it was desired."""
    RESTART = "restart"
    """Only a file that its section uses changed: stop it gracefully and start it, if it was desired."""
    OVERLAP = "overlap"
    """Only what its keeper reads for each new process changed: start a successor, which the running one drains for."""
    REMOVE = "remove"
    """No longer configured: stop it gracefully and unload it."""


@record(frozen=True)
class Activation:
    """One pending action; recorded before the first file changes, removed when it is done (R2)."""

    action: Action
    program: InstalledProgram
    desired: bool | None = field(default=None, metadata={JSON_NAME: "wanted"})
    """The desired state, queried and recorded just before the action begins: after an interruption, procman's own stop
    must not be taken for an administrator's (R2, R11). None: not queried yet."""
    old_stop_timeout_seconds: int | None = None
    """The timeout in the section that is still loaded; if the new one is longer, running tasks get the longer one."""
    old_stop_signal: str | None = field(default=None, metadata={LATER: True})
    """The signal in the section that is still loaded, if the program has another now, which then stops it."""


class End(NamedTuple):
    """How and when a main process ended without an order, or was killed because an ordered stop took too long."""

    at: float
    """Seconds since the epoch."""
    how: str
    """Such as `killed by SIGKILL` or `exit status 1`."""
    pid: int | None = None
    started: float | None = None
    """When that process was started; None: unknown, like its pid."""
    is_forced: bool = False
    """Whether an ordered stop did not end within the stop timeout."""
    by_kernel: bool = False
    """Whether the process manager reports that the kernel killed it for lack of memory."""
    is_repeated: bool = False
    """Whether it is one more end in a crash loop."""
    of_keeper: bool = False
    """Whether the process was the keeper of a worker that overlaps, and the end that of all its processes."""


class RunHistory(NamedTuple):
    """What the process manager recorded about the runs of a program, as far back as its log reaches."""

    restarts: int = 0
    """Restarts by the process manager itself since the last order."""
    failures: int = 0
    """How many of the last runs in a row ended early, since the last order."""
    ends: tuple[End, ...] = ()
    """Oldest first; those before the last order as well."""
    ordered: float | None = None
    """When a start, stop or restart was last ordered, in seconds since the epoch; None: unknown."""

    @property
    def unordered(self) -> tuple[End, ...]:
        """The ends since the last order that no order caused."""
        since = self.ordered or 0.0
        return tuple(end for end in self.ends if end.at >= since and not end.is_forced)


NO_HISTORY = RunHistory()


class ProgramState(NamedTuple):
    """The state of one program as its backend reports it."""

    name: str
    desired: bool
    """Whether it should run: `autostart` at first, then the last start or stop by anyone."""
    state: State
    pid: int | None = None
    since: float | None = None
    """When the process started or entered the state, in seconds since the epoch by the present clock."""
    clock_then: float | None = None
    """The same by the clock of that moment; it differs if the clock was set since. None: unknown."""
    restarts: int | None = None
    """Restarts by the backend itself since the last start, stop or restart; None: unknown."""
    detail: str = ""
    """Details in the backend's own words, such as an exit status."""
    history: RunHistory = NO_HISTORY
    """Empty if the program has not ended by itself since the last order, or if no record can be read."""
    started: float | None = None
    """When it was last started, in seconds since the epoch, even if it has ended since; None: not, or unknown."""
    answers_only: str = ""
    """The only user whom the process manager answers, if that is not the caller; otherwise empty."""
    manager_problem: str = ""
    """That its process manager is not running, so the program is not either; empty if it is running."""
    manager_remedy: str = ""
    """How to start the process manager."""


class Result(NamedTuple):
    """The answer of a check about a program, or about the whole project (`program` is None)."""

    code: str
    program: str | None
    level: Level
    detail: str
    hint: str = ""
    values: Mapping[str, float] = MappingProxyType({})
    accepted: bool = False
    """Whether it is a warning that an administrator accepts; its level is then OK."""
