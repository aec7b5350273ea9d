"""The event listener that looks after a project's programs under supervisord."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procman.backends.watcher import STOP_SECONDS, watcher_argv, watcher_name
from procman.launch import marker, owner_of
from procman.project import Project, RenderedFile
from procman.templating import Templates

NEVER_GIVE_UP = "1000000"
"""`startretries`: supervisord's 3 end in FATAL after six seconds of a missing database, for good."""


def healer_files(project: Project, path: Path, log_file: Path, templates: Templates) -> Iterator[RenderedFile]:
    """Yield its section, to be put at PATH; nothing where nobody is to look after PROJECT."""
    argv, name, owner = watcher_argv(project), watcher_name(project), owner_of(project)
    if argv is None:
        return
    values = {
        "marker": marker(project),
        "name": name,
        "interval": project.health.interval_seconds,
        "command": argv,
        "startretries": NEVER_GIVE_UP,
        "stop_timeout": STOP_SECONDS,
        "log_file": log_file,
    }
    text = templates.render("supervisor/health.conf.j2", values)
    yield RenderedFile(path, text, 0o644, owner, owner, (name,), section=True)
