"""The watcher, which checks a project's programs from outside and restarts unhealthy ones: its name and its command."""

from __future__ import annotations

from procman.backends import backend_named
from procman.backends.record import Watcher
from procman.project import Project

KEY = "health"
"""Used in place of the key of a program's table in procman.toml."""

STOP_SECONDS = 30
"""The watcher stops at once unless it is waiting for a call to supervisord, which may take this long."""


def watcher_name(project: Project) -> str:
    """Return the name of the watcher; the configuration refuses it for programs."""
    return f"{project.name}-{KEY}"


def watcher_argv(project: Project) -> tuple[str, ...] | None:
    """Return the watcher's command line for `project`; None if healing is off.

    The command reads the installed state, not a procman.toml, so it needs neither a working directory nor HOME.
    """
    command = project.health.procman
    if command is None or not any(program.heal for program in project.programs):
        return None
    words = (str(command), "heal", "--state", str(project.directories.state))
    return (*words, "--listen") if backend_named(project.backend).watcher is Watcher.EVENT_LISTENER else words
