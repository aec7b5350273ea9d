"""Find out on this host what a comparison of old and new programs needs beside their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from procman import adoption
from procman.accounts import account, group_name, login_environment
from procman.adoption.running import source_of
from procman.errors import ProcmanError
from procman.host.celery_processes import mains_among
from procman.host.process_table import look_at
from procman.host.runner import runner_of
from procman.init.comparing.behaviour import Running
from procman.init.comparing.compare import Known, identity
from procman.init.comparing.running import running_process
from procman.init.importing.existing import Existing
from procman.init.settings_modules import own_settings
from procman.model import Scope
from procman.project import Project
from procman.sources import Source


def known_of(
    project: Project,
    programs: Sequence[Existing],
    variables: Mapping[str, Mapping[str, str]],
    new_variables: Mapping[str, str],
) -> Known:
    """Return the known facts about `programs`, which `project` replaces.

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
    pids, places = _pids(sources, project), (project.directory, project.virtualenv)
    for existing in programs:
        running = running_process(existing, pids.get(existing.source, ()), places) if existing.source else None
        if running:
            yield identity(existing), running


def _pids(sources: Sequence[Source], project: Project) -> Mapping[Source, Sequence[int]]:
    """Return the processes of each source, or those that it has in common with others.

    Without permission, or if nothing runs them, there are none, and the files alone are compared.
    """
    try:
        return {source: each.pids for each in adoption.find(sources, project) for source in each.sources}
    except ProcmanError:
        # Not all of them can be adopted, or what runs them does not answer.
        found: dict[Source | None, list[int]] = {}
        for process in mains_among(look_at((), ["celery"])):
            found.setdefault(source_of(runner_of(process.pid)), []).append(process.pid)
        # The nodes of one unit have a source each.
        return {each: found.get(each, found.get(each._replace(name=""), [])) for each in sources}
