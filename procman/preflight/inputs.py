"""The facts that `procman check` gathers before an install: plain data without secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from procman.backends.base import FileLimit, ManagerReport, StopOrder
from procman.model import Kind
from procman.probes.app import AppFacts, Judged, Written
from procman.probes.broker_facts import BrokerFacts
from procman.probes.wrapper import Tried
from procman.project import Launch, Program, Project


@dataclass(frozen=True)
class AppAnswer:
    """The app's answer in one launch environment; programs with the same environment share it."""

    programs: tuple[Program, ...]
    app: AppFacts | None
    """None: the app could not be loaded."""
    error: str = ""
    hint: str = ""
    broker: BrokerFacts | None = None
    broker_error: str = ""

    @property
    def judged(self) -> Mapping[str, Judged]:
        """Return Celery's judgement of the command lines, by program name."""
        return self.app.judged if self.app else {}

    @property
    def written(self) -> tuple[Written, ...]:
        """Return the paths that the app's settings and logging configuration name."""
        return self.app.written if self.app else ()

    @property
    def name(self) -> str | None:
        """Return the program that a result is about; None if it is about several."""
        return self.programs[0].name if len(self.programs) == 1 else None


@dataclass(frozen=True)
class Place:
    """A path as the programs' user sees it."""

    exists: bool
    problem: str
    """The operating system's error for this path, or empty."""
    is_directory: bool
    owner: str
    """Empty if the path does not exist."""
    mode: int
    readable: bool
    writable: bool
    above_writable: bool
    """Whether the nearest existing directory above is writable."""
    free_bytes: int | None
    in_memory: bool
    """Whether the path is on a file system that does not survive a reboot."""


@dataclass(frozen=True)
class Below:
    """What is directly below a directory, as the programs' user sees it; the names up to a number."""

    directories: int
    unwritable: tuple[tuple[str, str], ...] = ()
    """The names and owners of the directories that the user cannot write to."""
    files: tuple[str, ...] = ()
    """The regular files of the user."""


@dataclass(frozen=True)
class Schedule:
    """The files of beat's schedule."""

    files: Mapping[Path, Place]
    problem: str
    """Why beat cannot read the schedule, or empty."""
    opens: bool = False
    """Whether the file can be opened although its content cannot be read."""
    set_aside: tuple[tuple[Path, Path], ...] = ()
    """The old and new name of each renamed file."""


@dataclass(frozen=True)
class Interpreter:
    """The virtualenv's Python."""

    version: str
    """Empty: Python does not start."""
    error: str = ""
    hint: str = ""


@dataclass(frozen=True)
class EnvironmentFile:
    """Facts about the file with the secrets, without its content."""

    path: Path
    problems: tuple[str, ...]
    """Why the file cannot be read or parsed, with line numbers."""
    owner: str = ""
    mode: int = 0
    trusted: bool = True
    """Whether only its owner and root can change or replace the file."""
    why: str = ""
    """Why the file is not trusted."""
    remedy: str = ""
    """How to fix the problems; empty: correct those lines."""
    refused: tuple[str, ...] = ()
    """The variables with which no program starts, with line numbers and reasons."""
    replacing: tuple[tuple[int, str], ...] = ()
    """The line and name of each variable that replaces procman's own value, or that Celery reads as an option."""
    ambiguous: tuple[tuple[int, str], ...] = ()
    """The lines that python-dotenv reads differently, each with the difference."""


@dataclass(frozen=True)
class OtherProgram:
    """A worker or beat on this host that this project did not start, and that its install does not adopt."""

    kind: Kind
    pid: int
    user: str
    command: str
    app: str | None
    directory: str
    program: str = ""
    """Its name if it is a program of another procman project whose heartbeat can be read."""
    is_procmans: bool = False
    """Whether a launcher of another procman project runs it."""
    brokers: tuple[str, ...] = ()
    """The digests in that heartbeat; empty: unknown."""
    has_lock: bool = False
    """Whether it shares a lock with other beats of the app."""
    is_of_own_user: bool = True
    """Whether it runs as the programs' user."""
    is_believed: bool = True
    """Whether no other user can have faked it: it runs as that user or as root, or root configured its command."""
    is_of_app: bool = True
    """Whether it runs the project's app."""
    with_beat: bool = False
    """Whether it is a worker with a beat in it (-B)."""
    node_name: str = ""
    """Of a worker, on this host; empty if it is unknown."""
    queues: tuple[str, ...] | None = None
    """That a worker consumes; None: the app's defaults."""
    runner: str = ""
    """What runs it, for messages; empty if it was started by hand."""
    source: str = ""
    """What the key `adopts` calls it; empty if nothing is known that an install can adopt."""
    known_as: str = ""
    """What the key `beside` calls it."""
    is_beside: bool = False
    """Whether `beside` names it."""
    is_starting: bool = False
    """Whether it starts and has no heartbeat with its broker yet."""


@dataclass(frozen=True)
class Host:
    """Facts about the host: accounts, process manager, other programs."""

    account_problem: str = ""
    """Which of the programs' user and group does not exist, or empty."""
    warnings: tuple[str, ...] = ()
    """What the host would end early or does not support, each with its remedy."""
    manager: ManagerReport = field(default_factory=ManagerReport)
    others: tuple[OtherProgram, ...] = ()
    workers: tuple[Mapping[str, Any], ...] = ()
    """The heartbeats of the workers of other procman projects on this host."""
    refused: tuple[str, ...] = ()
    """Why an install would fail; empty also if that was not checked."""
    refused_remedy: str = ""
    """How to fix all of these; empty: each problem names its own remedy."""
    file_limits: Mapping[str, FileLimit] = field(default_factory=dict)
    """By program name; empty: unknown."""
    stop_order: StopOrder | None = None
    """Which units stop after the programs; None if systemd does not run here."""
    listening: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By program name: the TCP ports of running workers that overlap, or will after the install."""


def written_paths(project: Project, asked: Iterable[AppAnswer]) -> list[Path]:
    """Return the directories that the programs write to, and the paths that the app names."""
    return [
        *(project.directories.logs, project.directories.state, *project.writable_paths),
        *(file.parent for file in project.schedule_files),
        *(written.path for each in asked for written in each.written),
    ]


def media_roots(asked: Iterable[AppAnswer]) -> list[Path]:
    """Return the directories in which the app keeps uploaded files; tasks make directories in them."""
    return [written.path for each in asked for written in each.written if written.what == "MEDIA_ROOT"]


@dataclass(frozen=True)
class PreflightFacts:
    """All facts for the checks before an install."""

    project: Project
    launches: Mapping[str, Launch]
    """By program name."""
    interpreter: Interpreter
    sees_everything: bool = True
    """Whether the caller may see all facts, and the app was asked: root or, in user scope, an unprivileged user."""
    runs_as_root: bool = False
    """Whether the programs run as root; the app is then not loaded (S3)."""
    asked: tuple[AppAnswer, ...] = ()
    places: Mapping[Path, Place] = field(default_factory=dict)
    below: Mapping[Path, Below] = field(default_factory=dict)
    """By directory: `writable_paths` and MEDIA_ROOT, below which tasks write, and that of the logs."""
    schedule: Schedule | None = None
    commands: Mapping[str, str | None] = field(default_factory=dict)
    """By program name: the path of the executable of each command; None: not found."""
    reload_commands: Mapping[str, str | None] = field(default_factory=dict)
    """The same of each `reload_command`."""
    unknown_subcommands: tuple[str, ...] = ()
    """The subcommands of `celery` in the commands that the project's Celery does not have."""
    wrappers: Mapping[str, Tried] = field(default_factory=dict)
    """By program name: what its wrapper did with a command; those without a wrapper are left out."""
    environment_file: EnvironmentFile | None = None
    forbidden: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """By program name: the paths that the app writes to but the program's sandbox makes read-only."""
    host: Host = Host()
    local_units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The units of the services on this host that the app uses, each with its uses: `database default`."""

    companions: tuple[PreflightFacts, ...] = ()
    """The facts about each table of commands with a user, directory or environment file of its own, as those see them:
    its `project` has the values of that table."""
    table: str = "project"
    """The table that these facts are about, for hints."""

    def of_kind(self, *kinds: Kind) -> list[Program]:
        """Return the programs of these kinds."""
        return [program for program in self.project.programs if program.kind in kinds]

    def answer(self, program: Program) -> AppAnswer | None:
        """Return the app's answer in the environment of `program`; None for a command, or if the app was not asked."""
        return next((each for each in self.asked if program in each.programs), None)

    def loaded(self) -> Iterator[tuple[AppAnswer, AppFacts]]:
        """Yield each answer whose app could be loaded, with its facts."""
        return ((each, each.app) for each in self.asked if each.app)

    def facts(self) -> AppFacts | None:
        """Return the facts of the first loaded app, for facts that do not depend on the environment."""
        return next((app for _, app in self.loaded()), None)

    @property
    def user(self) -> str:
        """Return the programs' user for a message: "you" in user scope."""
        return self.project.user or "you"

    def install_hint(self, package: object) -> str:
        """Return the command that installs `package` into the virtualenv."""
        return f"{self.project.virtualenv / 'bin' / 'pip'} install {package}"

    @property
    def migrate_hint(self) -> str:
        """Return how to create the missing tables of the project's Django apps."""
        python = self.project.virtualenv / "bin" / "python"
        who = f"As {self.project.user}, with" if self.project.user else "With"
        return f"{who} the variables of the programs: cd {self.project.directory} && {python} manage.py migrate"
