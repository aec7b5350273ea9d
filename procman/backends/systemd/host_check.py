"""Examine the host and its systemd before an install, and warn about what will not work there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from procman.backends.base import FileLimit, ManagerReport, StopOrder
from procman.backends.systemd import sandbox
from procman.backends.systemd.file_limits import limits_of
from procman.host import systemd_host
from procman.host.stop_order import order_by_key, order_of_user, warning_about
from procman.host.systemd_stop_limits import warnings_of_user
from procman.host.unit_names import stop_timeout_seconds, unit_name
from procman.launch import marker
from procman.model import Scope
from procman.project import Project, Sandbox


def examine(project: Project) -> ManagerReport:
    """Return whether the systemd that `project` needs can be reached."""
    problem, remedy = systemd_host.trouble(project.scope) or ("", "")
    return ManagerReport(problem, remedy)


def file_limits(project: Project) -> Mapping[str, FileLimit]:
    """Return how many files the programs could open under the host's systemd."""
    return limits_of(project)


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
    order = stop_order(project)
    too_early = warning_about(project.after, order) if order else None
    return [*found, too_early] if too_early else found


def stop_order(project: Project) -> StopOrder | None:
    """Return which units stop after the programs: those in `after`, and those that a drop-in on this host adds."""
    if not systemd_host.BOOTED.is_dir():
        return None
    if project.scope is Scope.USER:
        return order_of_user()
    return order_by_key(project.after, [unit_name(program.name) for program in project.programs], marker(project))


def _left_out(project: Project) -> Iterator[str]:
    if project.systemd.sandbox is not Sandbox.OFF:
        left_out = ", ".join(f"{name}=" for name in sandbox.left_out(project))
        yield f"a user's systemd does not support the whole sandbox; left out: {left_out}"
