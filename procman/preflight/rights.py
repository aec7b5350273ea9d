"""As whom the checks look: the accounts of the programs, and whether the caller may become them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from procman import left_behind
from procman.accounts import group_id, user_id
from procman.errors import ProcmanError
from procman.project import Project


def account_problem(project: Project) -> str:
    """Return which of the user and the group does not exist on this host; empty if both exist."""
    which = ""
    if project.user and user_id(project.user) is None:
        which = f"user {project.user}"
    elif project.group and group_id(project.group) is None:
        which = f"group {project.group}"
    return f"{project.configuration_file}: {which} does not exist on this host" if which else ""


def runs_as_root(project: Project) -> bool:
    """Return whether the programs run as root; their code is then never loaded (S3)."""
    return user_id(project.user) == 0


def may_not_look(project: Project) -> bool:
    """Return whether the caller lacks the rights to look as the programs' user."""
    return bool(project.user) and os.geteuid() not in (0, user_id(project.user))


def require_rights(project: Project) -> None:
    """Raise ProcmanError if the caller lacks the rights to look as the programs' user."""
    if may_not_look(project):
        raise ProcmanError(
            f"only root or {project.user} can run these checks as {project.user}",
            hint="Run the same command with sudo.",
        )


@contextmanager
def orphans_ended(*projects: Project) -> Iterator[None]:
    """End what the probes of `projects` leave behind, once all of them have ended."""
    with ExitStack() as ends:
        for uid in filter(None, {user_id(project.user) for project in projects}):
            ends.enter_context(left_behind.ended(uid))
        yield
