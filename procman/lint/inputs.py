"""What stands in a file of somebody else's: plain data for the rules, and what a rule finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from procman.celery_cli.parse import CeleryCommand
from procman.model import Kind, Level


class Reader(Enum):
    """Who reads the file."""

    SUPERVISOR = "supervisor"
    SYSTEMD = "systemd"


@dataclass(frozen=True)
class Setting:
    """One line that sets something; systemd knows several of one name."""

    name: str
    """`stopasgroup`, or with its section under systemd: `Service.KillMode`."""
    value: str
    line: int


@dataclass(frozen=True)
class Shell:
    """A shell that stands between the process manager and Celery."""

    script: Path | None
    """None: the text stands in the command itself."""
    is_read: bool
    """Whether the script could be read."""
    uses_exec: bool
    secrets: tuple[str, ...] = ()
    """Variables that it sets to a secret where everybody can read it."""


@dataclass(frozen=True)
class Recognised:
    """What a command starts."""

    kind: Kind | None = None
    """Worker or beat; None: it is no Celery, or not known to be."""
    words: tuple[str, ...] = ()
    """Of the command, or of what its start script ends in; empty where they cannot be told."""
    command: CeleryCommand | None = None
    """None: its arguments could not be read."""
    shell: Shell | None = None
    multi: bool = False
    """It is started by `celery multi`."""


@dataclass(frozen=True)
class LogFile:
    """A file that the process manager opens as root."""

    setting: Setting
    directory: Path
    owner: str
    """Of the directory; empty where that cannot be told."""
    owner_is_root: bool


@dataclass(frozen=True)
class Part:
    """A section that starts a program, a section of supervisord's own, or a whole unit."""

    reader: Reader
    file: Path
    line: int
    name: str
    """As its manager calls it: `program:celery`, `inet_http_server`, `celery.service`."""
    settings: tuple[Setting, ...]
    world_readable: bool
    """Whether everybody on the host can read the file."""
    command: Setting | None = None
    """What it starts; None: nothing, such as a drop-in."""
    started: Recognised = Recognised()
    logs: tuple[LogFile, ...] = ()
    variables: Mapping[str, Setting] = field(default_factory=dict)
    """Those that it sets, each with where."""
    exposed_files: tuple[tuple[Setting, Path], ...] = ()
    """Environment files with secrets that everybody can read."""
    unreadable: str = ""
    """Why its reader refuses the whole file."""

    @property
    def celery(self) -> Kind | None:
        """Worker or beat, as far as that is known."""
        return self.started.kind

    def find(self, name: str) -> Setting | None:
        """Return the setting of this name that counts, the last one."""
        return next((each for each in reversed(self.settings) if each.name.lower() == name.lower()), None)

    def value(self, name: str, default: str = "") -> str:
        """Return its value in lower case."""
        found = self.find(name)
        return found.value.strip().lower() if found else default


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, where it stands, what is lost by it, and what to write instead."""

    code: str
    level: Level
    file: Path
    line: int
    program: str
    option: str
    why: str
    remedy: str


def finding(code: str, level: Level, part: Part, at: Setting | None, option: str, why: str, remedy: str) -> Finding:
    """Return a finding about PART; AT is the line that says it, None where a missing one does."""
    where = at or part.command
    return Finding(code, level, part.file, where.line if where else part.line, part.name, option, why, remedy)
