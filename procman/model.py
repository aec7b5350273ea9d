"""The nouns that every part of procman shares, above all what is installed and how it does: frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

MARKER = "Written by procman"
"""Stands in every rendered file that can hold a comment, and says whose it is."""


JSON_NAME = "json_name"
"""Metadata of a field: the key under which records on disk have it, where an earlier procman called it otherwise."""


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
