"""Find out on this host what a comparison of old and new programs needs beside their files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

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
from procman.sources import Source

if TYPE_CHECKING:
    from procman.adoption.base import Candidate

MOST_SECONDS = 20.0
"""How long existing programs are looked for one by one."""


def known_of(
    project: Project,
    programs: Sequence[Existing],
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


def _running(project: Project, programs: Sequence[Existing]) -> Iterator[tuple[str, Running]]:
    sources = list(dict.fromkeys(each.source for each in programs if each.source))
    pids = {source: each.pids for each in _candidates(sources, project) for source in each.sources}
    places = (project.directory, project.virtualenv)
    for existing in programs:
        running = running_process(existing, pids.get(existing.source, ()), places) if existing.source else None
        if running:
            yield identity(existing), running


def _candidates(sources: Sequence[Source], project: Project) -> Iterator[Candidate]:
    """Yield what runs `sources`; without permission, or if nothing runs them, their files alone are compared."""
    with suppress(ProcmanError):
        yield from adoption.find(sources, project)
        return
    # One of them may be the reason. A supervisord that does not answer lets each of them wait.
    deadline = time.monotonic() + MOST_SECONDS
    for source in sources if len(sources) > 1 else ():
        with suppress(ProcmanError):
            if time.monotonic() < deadline:
                yield from adoption.find([source], project)
