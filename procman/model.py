"""The nouns that every part of procman shares, above all what is installed and how it does: frozen records.

A record belongs here if a manifest holds it, or if `status` or `health` needs it; otherwise in `project`, which would
take those two time to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

MARKER = "Written by procman"
"""Stands in every rendered file that can hold a comment, and says whose it is."""


T = TypeVar("T")

NO_DEFAULT: Any = MISSING
"""The default of a field that has none."""

JSON_NAME = "json_name"
"""Metadata of a field: the key under which records on disk have it, where an earlier procman called it otherwise."""

LATER = "later"
"""Metadata of a field: it came after the first release (`is_left_out`)."""


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
    """Return a field that is a key of procman.toml too; both have the `default`, and with `NO_DEFAULT` neither has one.

    The annotation of the field decides what the key expects: a flag, a path, a list of paths, a word of an enumeration,
    or a whole number `between` two, of which the second may be left out; for anything else `value` names one of
    `config.value_types`. `name` is what procman.toml calls the field, if that is something else. A key that is neither
    `required` nor has a default may be left out: `help_` says what happens then. A key of `[health]` that came after
    the first release is `later` (`is_left_out`). This is plain data that `config.keys` makes use of, because `status`
    imports the records and reads no key.
    """
    metadata = {"help": help_, "value": value, "between": between, "name": name, "required": required, LATER: later}
    return field(default=default, metadata=metadata)


def is_left_out(of: Field[Any], value: object) -> bool:
    """Return whether manifests and start scripts leave out the field `of`: it is `later`, and `value` its default.

    A watcher of an older procman that still runs refuses a manifest with a key it does not know, and a start script
    with another variable would restart its program.
    """
    return bool(of.metadata.get(LATER)) and value == of.default


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

    heal: bool = setting(True, "Restart what is found unsound; never what is busy, stopped on purpose or held.")
    heartbeat_seconds: int = setting(5, "How often a worker or beat says how it is.", between=(1, 3600))
    stale_seconds: int = setting(
        30, "Age at which what it says no longer counts; at least twice heartbeat_seconds.", between=(2, 86_400)
    )
    stall_seconds: int = setting(
        300,
        "How long messages may wait while a worker does nothing, or reserved ones without any progress.",
        between=(2, 604_800),
    )
    watchdog_seconds: int = setting(
        30,
        "WatchdogSec=: how long a main process may be frozen before systemd restarts it; at least twice "
        "heartbeat_seconds.",
        between=(2, 86_400),
    )
    interval_seconds: int = setting(30, "How often the programs are looked at from outside.", between=(1, 3600))
    failures: int = setting(3, "How many looks in a row must find the same before anything is done.", between=(1, 1000))
    restarts_per_hour: int = setting(
        3,
        "How often a program is restarted for its health within an hour; after that it is only reported.",
        between=(0, 1000),
    )
    memory_restart_mib: int | None = setting(
        None,
        "MiB that a program and its processes may use together; above it is restarted, warm. Left out: no limit.",
        between=(1, 2**24),
    )
    free_space_mib: int = setting(
        500, "Free MiB below which a disk is reported; below a tenth of it as critical.", between=(1, 2**40)
    )
    management_url: str | None = setting(
        None,
        "RabbitMQ's management interface, such as http://127.0.0.1:15672. User and password are those of the broker.",
        "HTTP_URL",
    )
    on_event: tuple[str, ...] = setting(
        (), "A command that gets each event as JSON on its standard input, word by word.", "EVENT_COMMAND"
    )
    procman: Path | None = setting(
        None,
        "The procman command that looks from outside. Left out: nobody looks, and only a worker or beat that can "
        "still act, or systemd's watchdog, heals.",
    )


@dataclass(frozen=True)
class SupervisorSettings:
    """`[supervisor]`: which supervisord, and where it reads programs from."""

    mode: SupervisorMode = setting(
        NO_DEFAULT,
        "Whose supervisord: one that is there, or procman's own, shared by the projects of the scope. "
        "Left out: existing in system scope, embedded in user scope.",
    )
    configuration: Path = setting(
        NO_DEFAULT,
        "supervisord's own file. Left out: /etc/supervisor/supervisord.conf, in system scope. Not with embedded.",
    )
    """In embedded mode the one that procman writes."""
    include: str = setting(
        NO_DEFAULT,
        "The pattern in the [include] section of that file which procman's files are to match. "
        "Left out: as Debian or Red Hat ship it, if configuration is theirs. Not with embedded.",
        "INCLUDE",
    )
    supervisord: Path | None = setting(
        None,
        "The supervisord command, such as /opt/procman/bin/supervisord, that systemd is to start procman's own with,"
        " at boot too. Left out: no unit is written, and procman starts its own by itself. Only with embedded.",
    )
    extend_stop_timeout: bool = setting(
        False,
        "Have the systemd unit of an existing supervisord wait at a stop for as long as its programs may take, by a "
        "drop-in that every install and uninstall sizes anew. Only in system scope, for Debian's and Red Hat's.",
    )


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
class RenderedDirectory:
    """A directory that is to exist. One that is already there keeps its mode and owner."""

    path: Path
    mode: int
    owner: str | None
    group: str | None
    shared: bool = False


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
    heal: bool = HealthSettings.heal
    stall_seconds: int = HealthSettings.stall_seconds
    memory_restart_mib: int | None = HealthSettings.memory_restart_mib
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
    desired: bool | None = field(default=None, metadata={JSON_NAME: "wanted"})
    """Whether it was to run, as asked just before the order was first carried out and recorded then: after an
    interruption procman's own stop must not pass for a person's (R2, R11). None: not asked yet."""
    old_stop_timeout_seconds: int | None = None
    """What the section that is still loaded allows; when the new one allows more, a running task gets the more."""


class ProgramState(NamedTuple):
    """What a backend says of one program."""

    name: str
    desired: bool
    """Whether it should run: autostart at first, then whatever the last start or stop by anyone asked for."""
    state: State
    pid: int | None = None
    since: float | None = None
    """Seconds since the epoch at which the process was started, or the state was entered, by the clock as it is now."""
    clock_then: float | None = None
    """What the clock showed then, which differs where it was set since. None: not known."""
    restarts: int | None = None
    """Restarts by the backend itself since the last order; None where it cannot be told."""
    detail: str = ""
    """The backend's own words, such as an exit status."""


class Result(NamedTuple):
    """What a check found out about a program, or about the project as a whole (`program` is None)."""

    code: str
    program: str | None
    level: Level
    detail: str
    hint: str = ""
    values: Mapping[str, float] = MappingProxyType({})
