"""PM77x: the accounts, the process manager, the limits of the host, and the files of an install."""

from __future__ import annotations

from collections.abc import Iterator

from procman.backends import backend_named
from procman.model import Level, Result
from procman.preflight.inputs import PreflightFacts


def account_exists(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM771."""
    problem = preflight.host.account_problem
    if problem:
        hint = f"Correct user and group in [{preflight.table}], or: useradd --system --shell /usr/sbin/nologin NAME"
        yield Result("PM771", None, Level.CRITICAL, problem, hint)
    else:
        yield Result("PM771", None, Level.OK, f"the programs run as {preflight.user}")


def manager_answers(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM772."""
    manager = preflight.host.manager
    if manager.problem:
        hint = manager.remedy or "Start the process manager."
        if backend_named(preflight.project.backend).installs_unreached:
            hint += "\nUntil then, `procman install` installs the files but cannot start the programs."
        yield Result("PM772", None, Level.WARNING, manager.problem, hint)


def host_supports_settings(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM773: the host allows the whole stop timeout, and supports the settings of procman.toml."""
    for warning in preflight.host.warnings:
        yield Result("PM773", None, Level.WARNING, warning, f"See `procman explain {preflight.project.backend.value}`.")


def supervisord_is_private(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM774."""
    where = preflight.host.manager.tcp_without_password
    if where:
        detail = (
            f"supervisord accepts commands without a password at {where}: every user of this host can run code as "
            "supervisord's user"
        )
        hint = "Remove [inet_http_server], or set username and password there, and restart supervisord."
        yield Result("PM774", None, Level.WARNING, detail, hint)


def files_are_taken(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM775: the process manager can read the files, and none would overwrite an unmanaged file."""
    manager = preflight.host.manager
    for problem in preflight.host.refused:
        is_managers = manager.problem and manager.problem in problem
        remedy = manager.remedy if is_managers else preflight.host.refused_remedy
        yield Result(
            "PM775", None, Level.CRITICAL, problem, remedy or "Correct the named file or key, then check again."
        )
