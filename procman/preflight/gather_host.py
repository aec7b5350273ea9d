"""Gather the host's facts for the checks before an install: the process manager, and other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from procman.agent import LAUNCHER
from procman.backends import backend_named
from procman.deploy.host_warnings import warnings
from procman.errors import ProcmanError
from procman.host.process_table import look_at
from procman.launch import launcher_path
from procman.monitoring.checks.shared_queues import other_workers
from procman.preflight.gather_processes import other_programs
from procman.preflight.gather_projects import stopped_workers
from procman.preflight.inputs import Host
from procman.preflight.listening_ports import ports_of_workers
from procman.project import Project


def look_at_host(project: Project, replaced: Sequence[Path] = ()) -> Host:
    """Return the facts of the host; facts that cannot be gathered are left out.

    `replaced` are the unmanaged files whose programs of the same names the install adopts.
    """
    backend = backend_named(project.backend).host_check
    running = tuple(other_programs(project, replaced))
    stopped = tuple(stopped_workers(project, {each.program for each in running if each.is_of_app}))
    return Host(
        warnings=_warnings(project),
        manager=backend.examine(project),
        others=(*running, *stopped),
        workers=tuple(other_workers(look_at((), (LAUNCHER,)), launcher_path(project), project.directories.state)),
        file_limits=backend.file_limits(project),
        stop_order=backend.stop_order(project),
        listening=ports_of_workers(project),
    )


def _warnings(project: Project) -> tuple[str, ...]:
    try:
        return tuple(warnings(project))
    except ProcmanError as error:
        return (error.in_one_line,)
