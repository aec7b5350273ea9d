"""Examine the host and its systemd before an install, and warn about what will not work there."""

from __future__ import annotations

from collections.abc import Iterator

from procman.backends.base import ManagerReport
from procman.backends.systemd import sandbox
from procman.host import systemd_host
from procman.host.systemd_stop_limits import warnings_of_user
from procman.host.unit_names import stop_timeout_seconds
from procman.model import Scope
from procman.project import Project, Sandbox


def examine(project: Project) -> ManagerReport:
    """Return whether the systemd that `project` needs can be reached."""
    problem, remedy = systemd_host.trouble(project.scope) or ("", "")
    return ManagerReport(problem, remedy)


def warnings(project: Project) -> list[str]:
    """Return the settings of procman.toml that do not take full effect on this host."""
    found = []
    version, oldest = systemd_host.version(), project.systemd.minimum_version
    if version < oldest:
        found.append(
            f"this host runs systemd {version}, which ignores directives that it does not know, and the units are for "
            f"{oldest} and later: set minimum_version = {version} in [systemd]"
        )
    if project.scope is Scope.USER:
        found += warnings_of_user(max(stop_timeout_seconds(program) for program in project.programs))
        found += _left_out(project)
    return found


def _left_out(project: Project) -> Iterator[str]:
    if project.systemd.sandbox is not Sandbox.OFF:
        left_out = ", ".join(f"{name}=" for name in sandbox.left_out(project))
        yield f"a user's systemd does not support the whole sandbox; left out: {left_out}"
    if project.after:
        yield f"a user's systemd does not know {', '.join(project.after)}: the key after has no effect here"
