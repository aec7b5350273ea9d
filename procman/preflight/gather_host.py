"""Gather the host's facts for the checks before an install: the process manager, and other beats of the app."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procman.accounts import user_id, user_name
from procman.agent import LAUNCHER
from procman.backends import backend_named
from procman.celery_cli.parse import CeleryCommand
from procman.deploy.host_warnings import warnings
from procman.errors import ProcmanError
from procman.host.process import directory_of, user_of
from procman.host.process_table import Process, look_at
from procman.launch import arguments_of, launcher_path
from procman.lint.find_celery import read_celery
from procman.model import Kind
from procman.monitoring.checks.foreign_heartbeat import heartbeat_of
from procman.monitoring.checks.shared_queues import other_workers
from procman.preflight.inputs import Host, OtherBeat
from procman.project import Project
from procman.secrets import masked_command

LONGEST_COMMAND = 200


def look_at_host(project: Project) -> Host:
    """Return the facts of the host; facts that cannot be gathered are left out."""
    backend = backend_named(project.backend).host_check
    return Host(
        warnings=_warnings(project),
        manager=backend.examine(project),
        beats=tuple(other_beats(project)),
        workers=tuple(other_workers(look_at((), (LAUNCHER,)), launcher_path(project), project.directories.state)),
        stop_order=backend.stop_order(project),
    )


def _warnings(project: Project) -> tuple[str, ...]:
    try:
        return tuple(warnings(project))
    except ProcmanError as error:
        return (error.in_one_line,)


# Other beats ---------------------------------------------------------------------------------------------------------


def other_beats(project: Project) -> Iterator[OtherBeat]:
    """Yield each beat of the same app on this host that this project did not start."""
    ours = {arguments_of(project, program) for program in project.programs if program.kind is Kind.BEAT}
    found = {process.pid: (process, command) for process, command in _beats(project) if not _is_ours(process, ours)}
    for process, command in found.values():
        if process.parent in found:
            continue
        directory = directory_of(process.pid)
        if _same_app(project, command, directory):
            words = masked_command(process.argv)[:LONGEST_COMMAND]
            app = command.project.get("app")
            heartbeat = heartbeat_of(process.pid, project.directories.state)
            yield OtherBeat(
                process.pid,
                _user(process.pid),
                words,
                str(app) if app else None,
                str(directory or "?"),
                program=heartbeat.get("program", ""),
                brokers=tuple(heartbeat.get("brokers", ())),
                has_lock=heartbeat.get("lock") is not None,
                is_of_own_user=user_of(process.pid) == user_id(project.user),
            )


def _beats(project: Project) -> Iterator[tuple[Process, CeleryCommand]]:
    for process in look_at((), ("celery", LAUNCHER)).values():
        if str(launcher_path(project)) in process.argv[:3]:
            continue
        command = read_celery(process.argv)
        if command and (command.kind is Kind.BEAT or command.with_beat):
            yield process, command


def _is_ours(process: Process, ours: set[tuple[str, ...]]) -> bool:
    # Without the launcher, only its arguments identify a beat of ours: they name its schedule file.
    return any(process.argv[-len(words) :] == words for words in ours)


def _same_app(project: Project, command: CeleryCommand, directory: Path | None) -> bool:
    app = str(command.project.get("app") or "").partition(":")[0].partition(".")[0]
    if app and app != project.app.partition(":")[0].partition(".")[0]:
        return False
    places = {directory, Path(str(command.project.get("directory") or "/"))}
    return project.directory in places or command.project.get("virtualenv") == str(project.virtualenv)


def _user(pid: int) -> str:
    uid = user_of(pid)
    return "?" if uid is None else user_name(uid)
