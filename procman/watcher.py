"""What looks after a project's programs from outside: how it is called and run, under both backends."""

from __future__ import annotations

from procman.model import BackendName
from procman.project import Project

KEY = "health"
"""In the place of a program's table in procman.toml."""


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
    return (*words, "--listen") if project.backend is BackendName.SUPERVISOR else words
