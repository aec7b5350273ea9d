"""The content of a linted file as plain data, and the findings of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from procman.celery_cli.parse import CeleryCommand
from procman.model import Kind, Level


class Reader(Enum):
    """The process manager that reads the file."""

    SUPERVISOR = "supervisor"
    SYSTEMD = "systemd"


@dataclass(frozen=True)
class Setting:
    """One line that sets an option; systemd allows several of the same name."""

    name: str
    """`stopasgroup`, or for systemd with its section: `Service.KillMode`."""
    value: str
    line: int


@dataclass(frozen=True)
class Shell:
    """A shell between the process manager and Celery."""

    script: Path | None
    """None: the text is in the command itself."""
    is_read: bool
    """Whether the script could be read."""
    uses_exec: bool
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


@dataclass(frozen=True)
class LogFile:
    """A file that the process manager opens as root."""

    setting: Setting
    directory: Path
    owner: str
    """The owner of the directory; empty if unknown."""
    owner_is_root: bool


@dataclass(frozen=True)
class Part:
    """A section for a program, a section for supervisord itself, or a whole unit."""

    reader: Reader
    file: Path
    line: int
    name: str
    """The process manager's name for it: `program:celery`, `inet_http_server`, `celery.service`."""
    settings: tuple[Setting, ...]
    world_readable: bool
    """Whether every user of the host can read the file."""
    command: Setting | None = None
    """The command that it starts; None for a drop-in, for example."""
    started: Recognised = Recognised()
    logs: tuple[LogFile, ...] = ()
    variables: Mapping[str, Setting] = field(default_factory=dict)
    """The variables that it sets, each with its place."""
    exposed_files: tuple[tuple[Setting, Path], ...] = ()
    """Environment files with secrets that every user can read."""
    unreadable: str = ""
    """Why the process manager refuses the whole file."""

    @property
    def celery(self) -> Kind | None:
        """Worker or beat, if that is known."""
        return self.started.kind

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
    """Whether it is a warning that procman.toml accepts; its level is then OK."""


def finding(code: str, level: Level, part: Part, at: Setting | None, option: str, why: str, remedy: str) -> Finding:
    """Return a finding about `part`; `at` is the setting at fault, None if a setting is missing."""
    where = at or part.command
    return Finding(code, level, part.file, where.line if where else part.line, part.name, option, why, remedy)
