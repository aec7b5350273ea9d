"""What `procman check` found out before an install: plain data, with no secret in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from procman.backends.base import ManagerReport
from procman.model import Kind
from procman.probes.app import AppFacts, Judged, Written
from procman.probes.broker import BrokerFacts
from procman.project import Launch, Program, Project


@dataclass(frozen=True)
class AppAnswer:
    """What the app answered in one launch environment; programs with the same one share it."""

    programs: tuple[Program, ...]
    app: AppFacts | None
    """None: it could not be loaded."""
    error: str = ""
    hint: str = ""
    broker: BrokerFacts | None = None
    broker_error: str = ""

    @property
    def judged(self) -> Mapping[str, Judged]:
        """Return what Celery says of the command lines, by the name of the program."""
        return self.app.judged if self.app else {}

    @property
    def written(self) -> tuple[Written, ...]:
        """Return what the app's settings and logging name."""
        return self.app.written if self.app else ()

    @property
    def name(self) -> str | None:
        """Return the program that a result is about; None where it is about several."""
        return self.programs[0].name if len(self.programs) == 1 else None


@dataclass(frozen=True)
class Place:
    """A path as the user of the programs sees it."""

    exists: bool
    problem: str
    """Why it cannot be looked at, in the operating system's words."""
    is_directory: bool
    owner: str
    """Empty where it does not exist."""
    mode: int
    readable: bool
    writable: bool
    above_writable: bool
    """The nearest directory above that exists can be written to."""
    free_bytes: int | None
    in_memory: bool
    """It is on a file system that is gone after a boot."""


@dataclass(frozen=True)
class Schedule:
    """The files of beat's schedule."""

    files: Mapping[Path, Place]
    problem: str
    """Why beat cannot read them, or empty."""
    opens: bool = False
    """It can be opened all the same: only what it holds cannot be read."""
    set_aside: tuple[tuple[Path, Path], ...] = ()
    """Old and new names, where that was asked for and done."""


@dataclass(frozen=True)
class Interpreter:
    """The virtualenv's Python, as far as it starts."""

    version: str
    """Empty: it does not start."""
    error: str = ""
    hint: str = ""


@dataclass(frozen=True)
class EnvironmentFile:
    """The file with the secrets, by its properties alone."""

    path: Path
    problems: tuple[str, ...]
    """Why it cannot be read or understood, with lines."""
    owner: str = ""
    mode: int = 0
    trusted: bool = True
    """Nobody but its owner and root could change it, or put another in its place."""
    why: str = ""
    """Why it is not trusted."""
    remedy: str = ""
    """What to do about the problems; empty: mend those lines."""


@dataclass(frozen=True)
class OtherBeat:
    """A beat that runs on this host and is not ours."""

    pid: int
    user: str
    command: str
    app: str | None
    directory: str


@dataclass(frozen=True)
class Host:
    """What the host adds: accounts, process managers, other programs."""

    account_problem: str = ""
    """Why the user or group of the programs cannot be become."""
    warnings: tuple[str, ...] = ()
    """What the process manager would cut short or leave out, each with its remedy."""
    manager: ManagerReport = field(default_factory=ManagerReport)
    beats: tuple[OtherBeat, ...] = ()
    refused: tuple[str, ...] = ()
    """Why an install would not put its files in place, as far as that was asked; each tells its remedy, too."""
    refused_remedy: str = ""
    """What to do about all of them; empty: what they say."""


def written_paths(project: Project, asked: Iterable[AppAnswer]) -> list[Path]:
    """Return the directories that the programs write to, and what the app says it writes."""
    return [
        *(project.directories.logs, project.directories.state, *project.writable_paths),
        *(file.parent for file in project.schedule_files),
        *(written.path for each in asked for written in each.written),
    ]


@dataclass(frozen=True)
class PreflightFacts:
    """Everything the checks before an install look at."""

    project: Project
    launches: Mapping[str, Launch]
    """By the name of the program."""
    interpreter: Interpreter
    runs_as_root: bool = False
    """The app is then not asked: root loads nobody's code."""
    asked: tuple[AppAnswer, ...] = ()
    places: Mapping[Path, Place] = field(default_factory=dict)
    schedule: Schedule | None = None
    commands: Mapping[str, str | None] = field(default_factory=dict)
    """Where the first word of each command was found, by the name of the program."""
    environment_file: EnvironmentFile | None = None
    forbidden: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """By program: what the app writes to and the program's sandbox would forbid."""
    host: Host = Host()

    def of_kind(self, *kinds: Kind) -> list[Program]:
        """Return the programs of these kinds."""
        return [program for program in self.project.programs if program.kind in kinds]

    def answer(self, program: Program) -> AppAnswer | None:
        """Return what the app answered in the environment of PROGRAM; None for a command, or if nobody could ask."""
        return next((each for each in self.asked if program in each.programs), None)

    def loaded(self) -> Iterator[tuple[AppAnswer, AppFacts]]:
        """Yield each answer of an app that could be loaded, with what the app says."""
        return ((each, each.app) for each in self.asked if each.app)

    def facts(self) -> AppFacts | None:
        """Return the first answer of the app, for what does not depend on the environment."""
        return next((app for _, app in self.loaded()), None)

    @property
    def user(self) -> str:
        """Return who runs the programs, for a message."""
        return self.project.user or "you"

    def install_hint(self, package: object) -> str:
        """Return the command that installs `package` into the virtualenv."""
        return f"{self.project.virtualenv / 'bin' / 'pip'} install {package}"
