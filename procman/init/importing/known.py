"""Find out on this host what a comparison of old and new programs needs beside their files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from procman import adoption
from procman.accounts import account, group_name, login_environment
from procman.errors import ProcmanError
from procman.init.importing.behaviour import Running
from procman.init.importing.compare import Known, identity
from procman.init.importing.existing import Existing
from procman.init.importing.running import running_process
from procman.init.scan_project import own_settings
from procman.model import Scope
from procman.project import Project


def known_of(
    project: Project,
    programs: Iterable[Existing],
    variables: Mapping[str, Mapping[str, str]],
    new_variables: Mapping[str, str],
) -> Known:
    """Return what is known of `programs`, which `project` replaces.

    `variables` are those of the environment files of each, by `identity`; `new_variables` those of the project's file.
    """
    user = account(project.user)
    return Known(
        variables=variables,
        new_variables=new_variables,
        login=login_environment(user) if user else {},
        user=user.pw_name if user and project.scope is Scope.USER else None,
        # Debian gives each user a group of the same name.
        group=group_name(user.pw_gid) if user else project.user,
        own_settings=own_settings(project.directory, project.app),
        running=dict(_running(project, programs)),
    )


def _running(project: Project, programs: Iterable[Existing]) -> Iterator[tuple[str, Running]]:
    for existing in programs:
        running = running_process(existing, _pids(existing, project))
        if running:
            yield identity(existing), running


def _pids(existing: Existing, project: Project) -> list[int]:
    """Return the processes of `existing`, or those that it has in common with others; empty if it does not run."""
    if existing.source is None:
        return []
    # Without permission, or if nothing runs it any more, its files alone are compared.
    with suppress(ProcmanError, ModuleNotFoundError):
        return [pid for each in adoption.find([existing.source], project) for pid in each.pids]
    return []
