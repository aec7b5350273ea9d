"""The content of a linted file as plain data, and the findings of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from procman.celery_cli.parse import CeleryCommand
from procman.errors import ConfigurationError
from procman.model import Kind, Level
from procman.monitoring.checks.pool import WITHOUT_CHILDREN

YES = ("true", "yes", "on", "1")
"""The values that supervisord reads as true, in lower case."""


class Reader(Enum):
    """The process manager, or the engine for containers, that reads the file."""

    SUPERVISOR = "supervisor"
    SYSTEMD = "systemd"
    COMPOSE = "compose"
    DOCKERFILE = "dockerfile"
    KUBERNETES = "kubernetes"

    @property
    def runs_containers(self) -> bool:
        """Return whether it is an engine for containers."""
        return self not in (Reader.SUPERVISOR, Reader.SYSTEMD)


@dataclass(frozen=True)
class Setting:
    """One line that sets an option; systemd allows several of the same name."""

    name: str
    """`stopasgroup`, or for systemd with its section: `Service.KillMode`."""
    value: str
    file: Path
    line: int


@dataclass(frozen=True)
class Shell:
    """A shell between the process manager and Celery."""

    script: Path | None
    """None: the text is in the command itself."""
    is_read: bool
    """Whether the script could be read."""
    uses_exec: bool
    traps: bool = False
    """Whether the script handles the stop signal itself."""
    secrets: tuple[str, ...] = ()
    """The variables that a script readable by every user sets to a secret."""


@dataclass(frozen=True)
class Recognised:
    """The program that a command starts."""

    kind: Kind | None = None
    """Worker or beat; None: not Celery, or not recognised as Celery."""
    words: tuple[str, ...] = ()
    """The words of the command, or of the last command of its start script; empty if unknown."""
    command: CeleryCommand | None = None
    """None: the arguments could not be read."""
    shell: Shell | None = None
    multi: bool = False
    """Whether `celery multi` starts it."""
    changes_user: bool = False
    """Whether a command in front of it changes the user, such as setpriv or gosu."""
    killed_by: str = ""
    """The command in front of it that kills it soon after a stop signal, such as su."""


@dataclass(frozen=True)
class LogFile:
    """A file that the process manager opens as root."""

    setting: Setting
    directory: Path
    owner: str
    """The owner of the directory; empty if unknown."""
    owner_is_root: bool


@dataclass(frozen=True)
class Probe:
    """A command by which an engine asks whether a container works."""

    setting: Setting
    words: tuple[str, ...]
    """With a shell in front, if the engine runs one."""


@dataclass(frozen=True)
class Container:
    """How an engine runs a program; every field is as the file has it."""

    words: tuple[str, ...] = ()
    """The command, with an init or shell in front of Celery."""
    entry_point: Setting | None = None
    """The setting whose words come first, if the command is in two."""
    default_grace_seconds: float | None = None
    """How long the engine waits after a stop signal if the file does not set it; None: the file cannot set it."""
    grace: Setting | None = None
    grace_seconds: float | None = None
    stop_signal: Setting | None = None
    probes: tuple[Probe, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    controller: str = ""
    """The kind of the Kubernetes object, such as Deployment."""
    strategy: Setting | None = None
    """How a Deployment replaces its pods; None: by default, with a surge."""
    replicas: int = 1
    most_replicas: Setting | None = None
    """How many an autoscaler may make of it; None: there is none."""
    starts: bool = True
    """Whether the engine starts it without being asked, unlike a service with a profile."""
    surroundings: tuple[str, ...] | None = ()
    """All that may make it part of another project, such as its image and namespace; None: too much to compare."""


@dataclass(frozen=True)
class Part:
    """A section for a program or for supervisord itself, a unit, or a container, with all files that add to it."""

    reader: Reader
    file: Path
    line: int
    name: str
    """The process manager's name for it: `program:celery`, `inet_http_server`, `celery.service`."""
    settings: tuple[Setting, ...] = ()
    """Those in effect, in the order of the files."""
    files: tuple[Path, ...] = ()
    """Every file that adds to it, such as a drop-in."""
    open_files: frozenset[Path] = frozenset()
    """Those that every user of the host can read."""
    command: Setting | None = None
    """The command that it starts; None for a drop-in, for example."""
    started: Recognised = Recognised()
    logs: tuple[LogFile, ...] = ()
    variables: Mapping[str, Setting] = field(default_factory=dict)
    """The variables that it sets, each with its place."""
    exposed_files: tuple[tuple[Setting, Path], ...] = ()
    """Environment files with secrets that every user can read."""
    manager_user: str = ""
    """The user that supervisord changes to at its start; empty: it keeps the user that starts it."""
    unreadable: str = ""
    """Why the process manager refuses the whole file."""
    container: Container = Container()
    """What an engine for containers does with it."""

    @property
    def celery(self) -> Kind | None:
        """Worker or beat, if that is known."""
        return self.started.kind

    @property
    def has_pool_processes(self) -> bool:
        """Whether its tasks run in processes of their own."""
        command = self.started.command
        return self.celery is Kind.WORKER and (command is None or command.values.get("pool") not in WITHOUT_CHILDREN)

    @property
    def is_of_user(self) -> bool:
        """Whether the systemd of a user runs it."""
        return self.reader is Reader.SYSTEMD and "systemd/user" in str(self.file)

    @property
    def is_group(self) -> bool:
        """Whether it groups programs, rather than being one."""
        return self.name.startswith("group:")

    def find(self, name: str) -> Setting | None:
        """Return the effective setting of this name: the last one."""
        return next((each for each in reversed(self.settings) if each.name.lower() == name.lower()), None)

    def value(self, name: str, default: str = "") -> str:
        """Return the effective value of this name in lower case."""
        found = self.find(name)
        return found.value.strip().lower() if found else default


@dataclass(frozen=True)
class Finding:
    """One problem: its place, its consequence, and what to write instead."""

    code: str
    level: Level
    file: Path
    line: int
    program: str
    option: str
    why: str
    remedy: str
    accepted: bool = False
    """Whether procman.toml accepts it, or a comment in the file ignores it; its level is then OK."""
    reason: str = ""
    """Why the comment ignores it."""


@dataclass(frozen=True)
class LintReport:
    """The programs in the files, and their problems."""

    findings: tuple[Finding, ...]
    programs: tuple[Part, ...]
    """The workers and beats."""
    others: tuple[Part, ...]
    """The programs that are not recognised as Celery's."""
    files: tuple[Path, ...]
    """Every file that was read, such as a drop-in or an included file."""
    problems: tuple[str, ...] = ()
    """Why other files were not read, each with its path."""

    @property
    def is_blocking(self) -> bool:
        """Whether a finding is certain to lose tasks or expose secrets."""
        return any(each.level is Level.CRITICAL for each in self.findings)


class NotAllRead(ConfigurationError):
    """A file cannot be read or has another format; `report` judges the others."""

    def __init__(self, report: LintReport, *, hint: str = "") -> None:
        super().__init__(report.problems, hint=hint)
        self.report = report


def finding(code: str, level: Level, part: Part, at: Setting | None, option: str, why: str, remedy: str) -> Finding:
    """Return a finding about `part`; `at` is the setting at fault, None if a setting is missing."""
    where = at or part.command
    file, line = (where.file, where.line) if where else (part.file, part.line)
    return Finding(code, level, file, line, part.name, option, why, remedy)
