"""PM110: find other beats that send the tasks of the same app to the same broker; report them, never end them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from procman.accounts import user_id
from procman.agent.verdict import IMPORTING, STANDBY, STARTING
from procman.celery_cli.running import BEAT_INSIDE, arguments_of, option
from procman.host.process import directory_of, user_of
from procman.host.process_table import Process
from procman.host.runner import runner_of
from procman.model import Kind, Level, Result
from procman.monitoring.checks.celery_processes import is_named, node_name_of
from procman.monitoring.checks.foreign_heartbeat import heartbeat_of, share_broker
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

IDLE = (IMPORTING, STARTING, STANDBY)
"""Phases in which a beat sends nothing; in the first, its heartbeat does not yet have its broker."""

ROOT = 0
"""Its processes count as well: root needs no false process to disturb a project."""

OF_TWO_PROJECTS = "Keep one of the two: remove [beat] from one project and install it, or use another broker"
"""A process manager would start a beat again that is only ended."""


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether another beat of the app runs on this host, which would send each task twice.

    Only processes of the program's own user and of root count: any user can run a process with any command line.
    """
    for snapshot in running.up:
        if snapshot.program.kind is Kind.BEAT:
            yield _judge(snapshot, running)


def _judge(snapshot: ProgramSnapshot, running: ProjectSnapshot) -> Result:
    name = snapshot.program.name
    is_idle = snapshot.says.get("phase") in IDLE or snapshot.heartbeat.earlier is not None
    others = [] if is_idle else _others(snapshot, running)
    heartbeats = {each.pid: heartbeat_of(each.pid, running.manifest.directories.state) for each in others}
    certain = [each for each in others if _is_same(snapshot.says, heartbeats[each.pid])]
    unknown = [each for each in others if _is_same(snapshot.says, heartbeats[each.pid]) is None]
    possible = [each for each in unknown if not _is_beside(each, running)]
    found = certain or possible
    if not found:
        return Result("PM110", name, Level.OK, "")
    pids = " and ".join(_named(each.pid, heartbeats[each.pid]) for each in found)
    detail = (
        f"beat of {running.manifest.app} also runs as process {pids}, beside process {snapshot.state.pid}: "
        f"{'' if certain else 'if it uses the same broker, '}every task is sent more than once"
    )
    pids = ",".join(str(each.pid) for each in found)
    is_ours = all(heartbeats[each.pid] for each in found)
    hint = OF_TWO_PROJECTS if is_ours else f"ps -fp {pids} shows who started it; end all but one"
    return Result("PM110", name, Level.CRITICAL, detail, hint)


def _is_beside(process: Process, running: ProjectSnapshot) -> bool:
    names = running.manifest.beside
    return bool(names) and is_named(names, node_name_of(process, os.uname().nodename), runner_of(process.pid))


def _named(pid: int, heartbeat: Mapping[str, Any]) -> str:
    return f"{pid} ({heartbeat['program']})" if heartbeat else str(pid)


def _is_same(own: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """Return whether both beats send the same tasks to the same broker, by their heartbeats; None: unknown."""
    excludes = own.get("lock") is not None and own.get("lock") == other.get("lock")
    if excludes or other.get("phase") in IDLE:
        return False
    return share_broker(own.get("brokers", ()), other.get("brokers", ()))


def _others(snapshot: ProgramSnapshot, running: ProjectSnapshot) -> list[Process]:
    own, user = {process.pid for process in running.tree(snapshot)}, user_id(snapshot.program.user)
    found = [
        each
        for each in running.processes.values()
        if each.pid not in own and _is_beat(each, running) and user_of(each.pid) in (user, ROOT)
    ]
    pids = {each.pid for each in found}
    return [each for each in found if each.parent not in pids]


def _is_beat(process: Process, running: ProjectSnapshot) -> bool:
    arguments = arguments_of(process.argv)
    # A beat that the launcher started waits for the lock of the first.
    if not arguments or str(running.launcher) in process.argv[:2] or process.is_zombie:
        return False
    is_beat = "beat" in arguments or ("worker" in arguments and any(word in BEAT_INSIDE for word in arguments))
    return (
        is_beat and option(arguments, "-A", "--app") in _names_of(running.manifest.app) and _is_here(process, running)
    )


def _names_of(app: str) -> tuple[str, ...]:
    # `celery -A` finds the same app by each of mysite, mysite.celery and mysite.celery:app.
    package = app.partition(":")[0].removesuffix(".celery")
    return (app, package, f"{package}.celery", f"{package}.celery:app", f"{package}:app")


def _is_here(process: Process, running: ProjectSnapshot) -> bool:
    """Return whether a process belongs to this project; apps of two projects may have the same name."""
    directory, manifest = directory_of(process.pid), running.manifest
    in_virtualenv = manifest.virtualenv is not None and any(
        Path(word).is_relative_to(manifest.virtualenv) for word in process.argv[:2] if word.startswith("/")
    )
    return in_virtualenv or (directory is not None and directory == manifest.directory)
