"""What a check before an install finds out about this host and its systemd, and what an install warns about."""

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
    """Return whether the systemd that PROJECT needs can be reached."""
    problem, remedy = systemd_host.trouble(project.scope) or ("", "")
    return ManagerReport(problem, remedy)


def warnings(project: Project) -> list[str]:
    """Return what will work less well on this host than procman.toml may lead to expect."""
    found = []
    version, oldest = systemd_host.version(), project.systemd.minimum_version
    if version < oldest:
        found.append(
            f"this is systemd {version}, the units are for {oldest} and later, and it ignores what it does not know: "
            f"write minimum_version = {version} in [systemd]"
        )
    if project.scope is Scope.USER:
        found += warnings_of_user(max(stop_timeout_seconds(program) for program in project.programs))
        found += _left_out(project)
    return found


def _left_out(project: Project) -> Iterator[str]:
    if project.systemd.sandbox is not Sandbox.OFF:
        left_out = ", ".join(f"{name}=" for name in sandbox.left_out(project))
        yield f"the systemd of a user cannot do all of the sandbox; left out: {left_out}"
    if project.after:
        yield f"the systemd of a user does not know {', '.join(project.after)}: the key after does nothing here"
