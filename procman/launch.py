"""Decide how each program is started, for supervisord, systemd, `run` and `check` alike."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

from procman.agent import BESIDE_LAUNCHER, LAUNCHER
from procman.agent import settings as agent_settings
from procman.celery_cli.write import beat_arguments, worker_arguments
from procman.model import MARKER, Kind, Scope, is_left_out
from procman.project import STANDARD_STREAMS, Beat, Command, Launch, Program, Project, RenderedFile, Worker
from procman.subprocesses import SYSTEM_PATH

RELOAD = "reload"
"""The value of PROCMAN_KIND with which the launcher runs a reload command."""


def launch_of(project: Project, program: Program) -> Launch:
    """Return how `program` of `project` is started."""
    return Launch(
        argv=_argv(project, program),
        environment=_environment(project, program),
        environment_file=environment_file_of(project, program),
        directory=directory_of(project, program),
        user=user_of(project, program),
        group=group_of(project, program),
        umask=program.umask,
        nice=program.nice,
    )


def reload_of(project: Project, program: Program) -> Launch | None:
    """Return how procman starts the `reload_command` of `program`: as the program is started; None if it has none.

    The launcher reads the environment file for it, and takes no lock.
    """
    if not isinstance(program.options, Command) or not program.options.reload_command:
        return None
    launch, words = launch_of(project, program), program.options.reload_command
    if not program.launcher:
        return replace(launch, argv=words)
    environment = {**launch.environment, "PROCMAN_KIND": RELOAD}
    return replace(launch, argv=(*_launcher(project), *words), environment=environment)


def user_of(project: Project, program: Program) -> str | None:
    """Return the user that `program` runs as; None, in user scope: the user who installs it."""
    return (program.options.user if isinstance(program.options, Command) else None) or project.user


def group_of(project: Project, program: Program) -> str | None:
    """Return the group that `program` runs as; None: the primary group of its user."""
    if not isinstance(program.options, Command):
        return project.group
    of_project = project.group if user_of(project, program) == project.user else None
    return program.options.group or of_project


def directory_of(project: Project, program: Program) -> Path:
    """Return the working directory of `program`."""
    return (program.options.directory if isinstance(program.options, Command) else None) or project.directory


def environment_file_of(project: Project, program: Program) -> Path | None:
    """Return the file with the secret variables of `program`."""
    own = program.options.environment_file if isinstance(program.options, Command) else None
    return own or project.environment_file


@dataclass(frozen=True)
class Output:
    """A file that the process manager opens for a program."""

    path: Path

    @property
    def is_rotated(self) -> bool:
        """Whether it is a file, and not a stream of the process manager itself, which cannot be rotated."""
        return str(self.path) not in STANDARD_STREAMS


@dataclass(frozen=True)
class Outputs:
    """Where a program writes."""

    stdout: Output | None
    """None: the process manager keeps the log itself."""
    stderr: Output | None
    """None: standard error follows standard output."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are rotated; that of standard output first."""
        return tuple(each.path for each in (self.stdout, self.stderr) if each and each.is_rotated)


def outputs_of(program: Program, log: Path | None) -> Outputs:
    """Return where `program` writes, whose usual log is `log`; None: the process manager keeps that itself."""
    command = program.options
    if not isinstance(command, Command):
        return Outputs(Output(log) if log else None, None)
    stdout, stderr = command.stdout or log, command.stderr
    return Outputs(Output(stdout) if stdout else None, Output(stderr) if stderr and stderr != stdout else None)


def launcher_path(project: Project) -> Path:
    """Return the path at which the project's launcher is installed."""
    return project.directories.library / LAUNCHER


def arguments_of(project: Project, program: Program) -> tuple[str, ...]:
    """Return Celery's arguments, or the words of a command."""
    match program.options:
        case Worker() as worker:
            return tuple(worker_arguments(project.app, worker))
        case Beat() as beat:
            return tuple(beat_arguments(project.app, beat))
        case Command(argv=argv):
            return argv


def _argv(project: Project, program: Program) -> tuple[str, ...]:
    arguments = arguments_of(project, program)
    if program.launcher:
        # The launcher runs the wrapper, once it has read the environment file.
        return (*_launcher(project), *arguments)
    if isinstance(program.options, Command):
        return (*program.wrapper, *arguments)
    return (*program.wrapper, "celery", *arguments)


def _launcher(project: Project) -> tuple[str, str]:
    return str(project.virtualenv / "bin" / "python"), str(launcher_path(project))


def _environment(project: Project, program: Program) -> dict[str, str]:
    own = dict(program.environment)
    binaries = project.virtualenv / "bin"
    environment = {
        "VIRTUAL_ENV": str(project.virtualenv),
        "PATH": f"{binaries}:{own.pop('PATH', SYSTEM_PATH)}",
        "PYTHONPATH": ":".join(str(path) for path in (project.directory, *project.python_path)),
    }
    if project.settings:
        environment["DJANGO_SETTINGS_MODULE"] = project.settings
    environment["LANG"] = own.pop("LANG", "C.UTF-8")
    environment["PYTHONUNBUFFERED"] = own.pop("PYTHONUNBUFFERED", "1")
    environment |= own
    if isinstance(program.options, Command) and _needs_its_number(program.options, program):
        environment["PROCMAN_INSTANCE"] = str(program.options.number)
    if program.launcher:
        environment |= _launcher_environment(project, program)
    return environment


def _needs_its_number(command: Command, program: Program) -> bool:
    """Return whether the launcher would not know the number: it sets 1, so that the start scripts of an earlier
    procman stay as they are. systemd runs a reload command without it."""
    return command.instances > 1 or command.number != 1 or not program.launcher or bool(command.reload_command)


def _launcher_environment(project: Project, program: Program) -> dict[str, str]:
    environment = {
        "PROCMAN_PROGRAM": program.name,
        "PROCMAN_KIND": program.kind.value,
        "PROCMAN_DIRECTORY": str(directory_of(project, program)),
        "PROCMAN_RUN_DIRECTORY": str(project.directories.run(program.name)),
    }
    if environment_file := environment_file_of(project, program):
        environment["PROCMAN_ENVIRONMENT_FILE"] = str(environment_file)
    if program.wrapper:
        environment["PROCMAN_WRAPPER"] = json.dumps(program.wrapper, ensure_ascii=False)
    if isinstance(program.options, Command) and program.options.stop_signal != "TERM":
        environment["PROCMAN_STOP_SIGNAL"] = program.options.stop_signal
    if program.kind is not Kind.COMMAND:
        environment |= _health_environment(project, program)
    return environment


def _health_environment(project: Project, program: Program) -> dict[str, str]:
    """Return the variables that the agent inside a worker or beat reads (agent/settings.py)."""
    known = {field.name: field for field in fields(project.health)}
    names = [name for name in agent_settings.HealthSettings._fields if name in known]
    values = {name: getattr(program, name, getattr(project.health, name)) for name in names}
    environment = {
        f"PROCMAN_{name.upper()}": str(int(value))
        for name, value in values.items()
        if not is_left_out(known[name], value)
    }
    environment |= _stop_environment(program)
    return environment | {"PROCMAN_HOLD_FILE": str(project.directories.state / "holds" / f"{program.name}.json")}


def _stop_environment(program: Program) -> dict[str, str]:
    """Return the variables by which a worker knows when it is killed, and when to hand back its messages.

    The agent's own defaults are left out, so that the start scripts of an earlier procman stay as they are.
    """
    if not isinstance(program.options, Worker):
        return {}
    values = {
        "stop_timeout_seconds": program.stop_timeout_seconds,
        "handback_seconds": program.options.handback_seconds,
    }
    usual = agent_settings.HealthSettings._field_defaults
    return {f"PROCMAN_{name.upper()}": str(value) for name, value in values.items() if value != usual[name]}


def agent_source(name: str) -> str:
    """Return the text of the launcher, or of a file beside it, in this version of procman."""
    return (Path(__file__).parent / "agent" / name).read_text(encoding="utf-8")


def owner_of(project: Project) -> str | None:
    """Return the owner of the files that procman writes; None, in user scope: the user who installs."""
    return "root" if project.scope is Scope.SYSTEM else None


def launcher_files(project: Project) -> tuple[RenderedFile, ...]:
    """Return the launcher and the files that it imports, if a program of `project` uses it.

    The launcher comes last, so that it never runs with the files of an earlier version.
    """
    users, owner = tuple(program.name for program in project.programs if program.launcher), owner_of(project)
    if not users:
        return ()
    directory = project.directories.library
    return tuple(
        RenderedFile(directory / name, agent_source(name), 0o644, owner, owner, users, restarts=False)
        for name in (*BESIDE_LAUNCHER, LAUNCHER)
    )


def marker(project: Project) -> str:
    """Return the comment that marks a file as procman's, for operators and for procman itself."""
    return f"{MARKER} for {project.name}: change procman.toml and run `procman install`."
