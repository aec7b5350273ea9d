"""PM77x: accounts, the process manager, and what the host would cut short."""

from __future__ import annotations

from collections.abc import Iterator

from procman.backends import backend_named
from procman.model import Level, Result
from procman.preflight.inputs import PreflightFacts


def account_exists(preflight: PreflightFacts) -> Iterator[Result]:
    """The user and the group of the programs exist."""
    problem = preflight.host.account_problem
    if problem:
        hint = "Mend user and group in [project], or: useradd --system --shell /usr/sbin/nologin NAME"
        yield Result("PM771", None, Level.CRITICAL, problem, hint)
    else:
        yield Result("PM771", None, Level.OK, f"the programs run as {preflight.user}")


def manager_answers(preflight: PreflightFacts) -> Iterator[Result]:
    """The process manager runs and answers."""
    manager = preflight.host.manager
    if manager.problem:
        hint = manager.remedy or "Start it."
        if backend_named(preflight.project.backend).installs_unreached:
            hint += "\nUntil then `procman install` puts the files in place, and can start nothing."
        yield Result("PM772", None, Level.WARNING, manager.problem, hint)


def nothing_is_cut_short(preflight: PreflightFacts) -> Iterator[Result]:
    """The host lets the process manager stop as slowly as the programs may, and do what procman.toml asks for."""
    for warning in preflight.host.warnings:
        yield Result("PM773", None, Level.WARNING, warning, f"See `procman explain {preflight.project.backend.value}`.")


def supervisord_is_private(preflight: PreflightFacts) -> Iterator[Result]:
    """supervisord does not take orders over TCP from anybody without a password."""
    where = preflight.host.manager.tcp_without_password
    if where:
        detail = (
            f"supervisord takes orders without a password at {where}: every user of this host can run anything as it"
        )
        hint = "Remove [inet_http_server], or set username and password there, and restart supervisord."
        yield Result("PM774", None, Level.WARNING, detail, hint)


def files_are_taken(preflight: PreflightFacts) -> Iterator[Result]:
    """What an install would put in place is taken by its reader, and overwrites nothing of others."""
    manager = preflight.host.manager
    for problem in preflight.host.refused:
        is_managers = manager.problem and manager.problem in problem
        remedy = manager.remedy if is_managers else preflight.host.refused_remedy
        yield Result("PM775", None, Level.CRITICAL, problem, remedy or "Mend what it names, then check again.")
