"""PM77x: accounts, the process manager, and what the host would cut short."""

from __future__ import annotations

from collections.abc import Iterator

from procman.model import BackendName, Level, Result
from procman.preflight.inputs import Before


def account_exists(before: Before) -> Iterator[Result]:
    """The user and the group of the programs exist."""
    problem = before.host.account_problem
    if problem:
        hint = "Mend user and group in [project], or: useradd --system --shell /usr/sbin/nologin NAME"
        yield Result("PM771", None, Level.CRITICAL, problem, hint)
    else:
        yield Result("PM771", None, Level.OK, f"the programs run as {before.project.user or 'you'}")


def manager_answers(before: Before) -> Iterator[Result]:
    """The process manager runs and answers."""
    if before.host.manager_problem:
        hint = before.host.manager_remedy or "Start it."
        if before.project.backend is BackendName.SUPERVISOR:
            # Under systemd an install is refused, for nothing else could read what it would put in place.
            hint += "\nUntil then `procman install` puts the files in place, and can start nothing."
        yield Result("PM772", None, Level.WARNING, before.host.manager_problem, hint)


def nothing_is_cut_short(before: Before) -> Iterator[Result]:
    """The host lets the process manager stop as slowly as the programs may, and do what procman.toml asks for."""
    for warning in before.host.warnings:
        yield Result("PM773", None, Level.WARNING, warning, "docs/systemd.md and docs/supervisor.md say more.")


def supervisord_is_private(before: Before) -> Iterator[Result]:
    """supervisord does not take orders over TCP from anybody without a password."""
    where = before.host.tcp_without_password
    if where:
        detail = (
            f"supervisord takes orders without a password at {where}: every user of this host can run anything as it"
        )
        hint = "Remove [inet_http_server], or set username and password there, and restart supervisord."
        yield Result("PM774", None, Level.WARNING, detail, hint)


def files_are_taken(before: Before) -> Iterator[Result]:
    """What an install would put in place is taken by its reader, and overwrites nothing of others."""
    for problem in before.host.refused:
        is_managers = before.host.manager_problem and before.host.manager_problem in problem
        remedy = before.host.manager_remedy if is_managers else before.host.refused_remedy
        yield Result("PM775", None, Level.CRITICAL, problem, remedy or "Mend what it names, then check again.")
