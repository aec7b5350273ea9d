"""The watcher, which looks after a project's programs from outside: what it is called, and the command that it is."""

from __future__ import annotations

from procman.backends import backend_named
from procman.backends.record import Watcher
from procman.project import Project

KEY = "health"
"""In the place of a program's table in procman.toml."""

STOP_SECONDS = 30
"""It ends at once; a call to supervisord may take so long."""


def watcher_name(project: Project) -> str:
    """Return its name: no program can have it, for the configuration refuses that."""
    return f"{project.name}-{KEY}"


def watcher_argv(project: Project) -> tuple[str, ...] | None:
    """Return the command that looks after PROJECT; None where nobody is to.

    It goes by what is installed, not by a procman.toml: neither the working directory nor HOME matters to it.
    """
    command = project.health.procman
    if command is None or not any(program.heal for program in project.programs):
        return None
    words = (str(command), "heal", "--state", str(project.directories.state))
    return (*words, "--listen") if backend_named(project.backend).watcher is Watcher.EVENT_LISTENER else words
