"""Examine the host and its supervisord before an install, and warn about what will not work there."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

from procman.backends.base import FileLimit, ManagerReport, StopOrder
from procman.backends.supervisor.client import ANSWER_SECONDS, Client
from procman.backends.supervisor.configuration.main_file import read_main_file
from procman.backends.supervisor.configuration.sections import read_options
from procman.backends.supervisor.controller import controller
from procman.backends.supervisor.embedded import own_command, started_by_hand
from procman.backends.supervisor.file_limits import limits_of
from procman.backends.supervisor.own_output import problems_of_output
from procman.backends.supervisor.renderer import ordered_unit, render
from procman.backends.supervisor.stop_timeout_drop_in import stop_seconds
from procman.backends.supervisor.systemd_unit import UNIT, Service
from procman.config.keys import SUPERVISOR_UNITS
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.stop_order import order_by_key, order_of_user, ordered_after, warning_about
from procman.host.systemd_stop_limits import cut_short, warnings_of_user
from procman.host.unit_names import stop_timeout_seconds
from procman.launch import marker
from procman.model import Scope, SupervisorMode
from procman.project import Project
from procman.subprocesses import CLEAN_ENVIRONMENT, capture

NOT_PROCMANS = "the unit of supervisord is not procman's"
EXTEND = "Set extend_stop_timeout = true under [supervisor], which lets procman order it."
WITHOUT_UNIT = "supervisord has no unit"


def examine(project: Project) -> ManagerReport:
    """Return the condition of the host's supervisord; empty for procman's own, which is started when needed."""
    if project.supervisor.mode is not SupervisorMode.EXISTING:
        return ManagerReport()
    path = project.supervisor.configuration
    report = ManagerReport()
    try:
        main = read_main_file(path)
        options = read_options(path, path.read_text(encoding="utf-8", errors="surrogateescape"))
        tcp = options.get("inet_http_server")
        if tcp is not None and "password" not in tcp:
            report = replace(report, tcp_without_password=tcp.get("port", ""))
        version = str(
            Client(main, "Start supervisord as this host usually does.", ANSWER_SECONDS).call("getSupervisorVersion")
        )
        return replace(report, supervisor_version=version)
    except ProcmanError as error:
        return replace(report, problem=error.message, remedy=error.hint)


def file_limits(project: Project) -> Mapping[str, FileLimit]:
    """Return how many files the programs could open under the host's supervisord."""
    return limits_of(project)


def warnings(project: Project) -> list[str]:
    """Return what the host would do to supervisord or its programs, each with its remedy."""
    too_early = warning_about(project.after, stop_order(project))
    return [*_cut_short(project), *([too_early] if too_early else []), *problems_of_output(project)]


def stop_order(project: Project) -> StopOrder | None:
    """Return which units stop after supervisord, and so after its programs."""
    if not systemd_host.BOOTED.is_dir():
        return None
    if project.supervisor.mode is SupervisorMode.EMBEDDED:
        return _order_of_embedded(project)
    unit = SUPERVISOR_UNITS.get(str(project.supervisor.configuration), "")
    if ordered_unit(project):
        return order_by_key(project.after, [unit], marker(project))
    units = ordered_after([unit], marker(project)) if unit else frozenset()
    return StopOrder(units, uses_after=False, unit=unit, reason=NOT_PROCMANS, remedy=EXTEND if unit else "")


def _order_of_embedded(project: Project) -> StopOrder:
    if project.supervisor.supervisord is None:
        return StopOrder(
            frozenset(), uses_after=False, reason=WITHOUT_UNIT, remedy=f"Set {_supervisord_key()} under [supervisor]."
        )
    return order_of_user() if project.scope is Scope.USER else order_by_key(project.after, [UNIT], marker(project))


def _cut_short(project: Project) -> list[str]:
    if project.supervisor.mode is SupervisorMode.EMBEDDED:
        return list(_of_embedded(project))
    unit = SUPERVISOR_UNITS.get(str(project.supervisor.configuration))
    if project.scope is Scope.USER or unit is None or project.supervisor.extend_stop_timeout:
        return []
    cut = cut_short(unit, _stop_seconds(project))
    return [cut] if cut else []


def _stop_seconds(project: Project) -> int:
    try:
        return stop_seconds(project.supervisor, render(project))
    except ProcmanError:
        # The install reports what is wrong. supervisord stops one program after another.
        return sum(program.stop_timeout_seconds for program in project.programs)


def _of_embedded(project: Project) -> Iterator[str]:
    """Yield reasons why procman's own supervisord does not start at boot."""
    if not systemd_host.BOOTED.is_dir():
        yield from _without_systemd(project)
    elif project.supervisor.supervisord is None:
        yield (
            "supervisord does not start when the host boots; to let systemd start it, set under [supervisor]: "
            f"{_supervisord_key()}"
        )
    else:
        yield from _with_unit(project)


def _supervisord_key() -> str:
    return f'supervisord = "{own_command() or "/path/to/supervisord"}"'


def _without_systemd(project: Project) -> Iterator[str]:
    if project.supervisor.supervisord:
        yield "systemd is not running here, so the unit of supervisord has no effect: remove the key supervisord"
    command = project.supervisor.supervisord or own_command()
    words = [str(command)] if command else [sys.executable, "-m", "supervisor.supervisord"]
    line = f"@reboot {shlex.join([*words, '-c', str(project.supervisor.configuration)])}"
    # In a crontab % ends the line (crontab(5)).
    line = line.replace("%", r"\%")
    if line not in _crontab():
        yield f"supervisord does not start when the host boots; with `crontab -e`, add this line:\n{line}"


def _crontab() -> list[str]:
    try:
        return capture(["crontab", "-l"], environment=CLEAN_ENVIRONMENT, timeout=5).stdout.splitlines()
    except ProcmanError:
        return []


def _with_unit(project: Project) -> Iterator[str]:
    if project.scope is Scope.USER:
        reason = systemd_host.unreachable(project.scope)
        if reason:
            yield f"systemd cannot start supervisord: {reason}"
        yield from warnings_of_user(max(stop_timeout_seconds(program) for program in project.programs))
    service = Service(project.scope, project.directories.units)
    pid = started_by_hand(project.supervisor.configuration, service)
    if pid:
        supervisorctl = controller(project.name, project.scope, project.supervisor).supervisorctl()
        yield (
            f"supervisord (process {pid}) was not started by systemd: it keeps running, and systemd starts it at the "
            f"next boot. To switch now, which waits for running tasks: {supervisorctl} stop all; "
            f"{supervisorctl} shutdown; {service.command('start')}"
        )
