"""Decide whether root may use what a procman.toml names: templates, procman itself, files of variables (S3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from procman.backends import backend_named
from procman.config.trust import require_trust, require_trusted_way
from procman.model import Scope
from procman.project import Project


def require_trusted_templates(directory: Path, environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError if this is root and others can modify the templates, which decide what root runs."""
    for path in (directory, *sorted(directory.rglob("*"))):
        require_trust(path, environment)


def require_trusted_uses(project: Project, environment: Mapping[str, str]) -> None:
    """Raise ConfigurationError if `project` makes root run or read files that other users can modify (S3)."""
    command = project.health.procman
    # A missing command is reported by the checks. The command of on_event runs as a user who can modify it.
    if command and command.exists():
        require_trust(command, environment)
    if project.scope is Scope.USER or not backend_named(project.backend).environment_file_read_by_root:
        return
    files = (getattr(program.options, "environment_file", None) for program in project.programs)
    for file in filter(None, {project.environment_file, *files}):
        # The process manager reads it and passes the content to the program.
        if file.parent.exists():
            require_trusted_way(file, environment)
