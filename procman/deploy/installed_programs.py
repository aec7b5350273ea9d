"""The records of a project's programs in the manifest of its installation."""

from __future__ import annotations

from typing import Any

from procman.backends import backend_named
from procman.backends.record import Watcher
from procman.backends.watcher import KEY, STOP_SECONDS, watcher_argv, watcher_name
from procman.install.plan.describe import record_of
from procman.keeper import is_kept
from procman.launch import Output, outputs_of, user_of
from procman.model import InstalledProgram, Kind
from procman.project import Beat, Command, Program, Project, Worker

OF_COMMANDS = ("environment_file", "stop_signal", "reload_signal", "reload_command")
"""The keys of a command that are recorded under the same names."""


def installed_program(project: Project, program: Program) -> InstalledProgram:
    """Return `program` of `project` as a manifest records it."""
    outputs = outputs_of(program, backend_named(project.backend).renderer.log_path(project, program.name))
    return record_of(
        InstalledProgram,
        program,
        user=user_of(project, program),
        log_file=_file(outputs.stdout),
        error_log=_file(outputs.stderr),
        pool=getattr(program.options, "pool", None),
        concurrency=_concurrency(program.options),
        overlap_max=getattr(program.options, "overlap_max", 0) if is_kept(program) else 0,
        **_of_command(program),
    )


def installed_watcher(project: Project) -> tuple[InstalledProgram, ...]:
    """Return the watcher of `project` as a manifest records it; empty if the project has none."""
    if watcher_argv(project) is None:
        return ()
    name, log = watcher_name(project), None
    backend = backend_named(project.backend)
    if backend.watcher is Watcher.EVENT_LISTENER:
        log = backend.renderer.log_path(project, name)
    return (
        InstalledProgram(
            name=name,
            key=KEY,
            kind=Kind.HEALTH,
            autostart=True,
            stop_timeout_seconds=STOP_SECONDS,
            start_seconds=1,
            launcher=False,
            user=None,
            log_file=str(log) if log else None,
            heal=False,
        ),
    )


def _file(output: Output | None) -> str | None:
    return str(output.path) if output and output.is_rotated else None


def _concurrency(options: Worker | Beat | Command) -> int | None:
    number = options.concurrency if isinstance(options, Worker) else None
    return number if isinstance(number, int) else None


def _of_command(program: Program) -> dict[str, Any]:
    command = program.options
    return {name: getattr(command, name) for name in OF_COMMANDS} if isinstance(command, Command) else {}
