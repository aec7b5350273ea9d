"""How many files the programs of a supervisord may open: they inherit its own limit, which `minfds` raises."""

from __future__ import annotations

import os
from collections.abc import Mapping

from procman.backends.base import FileLimit
from procman.backends.supervisor.client import running_pid
from procman.backends.supervisor.configuration.main_file import parse_main_file
from procman.backends.supervisor.configuration.sections import read_options
from procman.backends.supervisor.renderer import render
from procman.errors import ProcmanError
from procman.host import process, systemd_host
from procman.model import SupervisorMode
from procman.project import Project

DEFAULT_MINFDS = 1024
"""supervisor 4.3."""


def limits_of(project: Project) -> Mapping[str, FileLimit]:
    """Return the limit of each program: that of the running supervisord, else what its configuration requires."""
    try:
        limit = _file_limit(project)
    except (ProcmanError, OSError, ValueError):
        return {}  # another check reports an unreadable file
    return {program.name: limit for program in project.programs}


def _file_limit(project: Project) -> FileLimit:
    path, text = project.supervisor.configuration, _configuration(project)
    pid = running_pid(parse_main_file(path, text))
    running = process.file_limits(pid) if pid else None
    minfds = int(read_options(path, text).get("supervisord", {}).get("minfds", DEFAULT_MINFDS))
    return FileLimit(running[0] if running else minfds, _remedy(project), "" if running else _problem(project, minfds))


def _configuration(project: Project) -> str:
    path = project.supervisor.configuration
    if project.supervisor.mode is SupervisorMode.EXISTING:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    return next((file.content for file in render(project).files if file.path == path), "")


def _remedy(project: Project) -> str:
    if project.supervisor.mode is SupervisorMode.EXISTING:
        return f"Set minfds = {{number}} under [supervisord] in {project.supervisor.configuration}, and restart it"
    return "Set minfds={number} in a template supervisor/supervisord.conf.j2 of your own (key templates in [project])"


def _problem(project: Project, minfds: int) -> str:
    """Return why `procman install` cannot start procman's own supervisord, if it is not systemd that starts it."""
    own = process.file_limits(os.getpid())
    has_unit = project.supervisor.supervisord and systemd_host.BOOTED.is_dir()
    if project.supervisor.mode is SupervisorMode.EXISTING or has_unit or own is None or process.may_raise_limits():
        return ""
    return too_low(minfds, own[1])


def too_low(minfds: int, hard: int) -> str:
    """Return why a supervisord with this `minfds` does not start below a hard limit that it may not raise; or empty."""
    if minfds <= hard:
        return ""
    return f"supervisord cannot start: it needs {minfds} open files (minfds), but the hard limit here is {hard}"
