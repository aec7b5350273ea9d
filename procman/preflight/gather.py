"""Gather the facts for the checks before an install from the app, the broker, the host and the user's file access."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from procman.backends import backend_named
from procman.errors import ProcmanError
from procman.host.local_units import units_in_use
from procman.keeper import run_directories
from procman.launch import arguments_of, launch_of
from procman.model import Scope
from procman.monitoring.broker_query import declared_queues, with_server_timeout
from procman.preflight.celery_commands import celery_subcommand
from procman.preflight.companions import companions_of, of_celery
from procman.preflight.environments import alike, place_of, python_of, try_wrappers
from procman.preflight.executables import Executables
from procman.preflight.gather_environment import read_environment
from procman.preflight.gather_host import look_at_host
from procman.preflight.inputs import (
    AppAnswer,
    Below,
    Host,
    Interpreter,
    Place,
    PreflightFacts,
    Schedule,
    media_roots,
    written_paths,
)
from procman.preflight.rights import account_problem, may_not_look, orphans_ended, require_rights, runs_as_root
from procman.preflight.stop_timeouts import longest_task
from procman.probes import app as app_facts
from procman.probes import celery_plugins_script, path_script
from procman.probes.app import AppFacts, Service
from procman.probes.broker import ask_broker
from procman.probes.broker_facts import BrokerFacts
from procman.probes.runner import AppError, ask_project
from procman.probes.runner import Place as Where
from procman.project import Beat, Launch, Program, Project

ROOT = "{user} has uid 0: a program cannot run as root"

PATH_SOURCES = tuple(Path(str(module.__file__)) for module in (celery_plugins_script, path_script))
"""The probe of paths and commands, in the order of its texts."""

LOOKING_SECONDS = 15.0
"""The time limit for looking at paths; a dead network file system would hang for ever."""


def gather(
    project: Project,
    *,
    timeout: float,
    set_aside: bool = False,
    replaced: Sequence[Path] = (),
    is_planned: bool = False,
) -> PreflightFacts:
    """Return the facts for the checks before an install; raise ProcmanError if the caller lacks the rights.

    `replaced` and `is_planned` as for `check`.
    """
    launches = {program.name: launch_of(project, program) for program in project.programs}
    problem = account_problem(project)
    if problem:
        return PreflightFacts(project, launches, Interpreter(""), host=Host(account_problem=problem))
    require_rights(project)
    file, secrets = read_environment(project, launches)
    companions = companions_of(project)
    # Around all probes: while one runs, the processes of the others are no orphans.
    with orphans_ended(project, *companions), ThreadPoolExecutor(max_workers=8) as pool:
        host = pool.submit(look_at_host, project, replaced)
        wrappers = {} if runs_as_root(project) else try_wrappers(pool, of_celery(project), launches, secrets)
        asked = [] if runs_as_root(project) else _ask_all(pool, project, launches, secrets, timeout)
        seen = [pool.submit(_companion, each, launches) for each in companions]
        looked = _look(of_celery(project), launches, secrets, asked, set_aside=set_aside)
        refused, remedy = _refused(project, replaced) if is_planned else ((), "")
        found = replace(host.result(), refused=refused, refused_remedy=remedy)
    return replace(
        looked,
        project=project,
        host=found,
        companions=tuple(each.result() for each in seen),
        wrappers={name: tried.result() for name, tried in wrappers.items()},
        sees_everything=(project.scope is Scope.USER or os.geteuid() == 0) and not runs_as_root(project),
        environment_file=file,
        runs_as_root=runs_as_root(project),
        local_units=units_in_use(_services(asked)) if found.stop_order else {},
    )


def gather_imports(project: Project, names: Collection[str], *, timeout: float) -> PreflightFacts:
    """Return the facts for PM711 about the programs `names`: the app is loaded once for each launch environment.

    An app that would run as root is not loaded (S3). Raises ProcmanError if the caller lacks the rights.
    """
    only = replace(project, programs=tuple(each for each in project.programs if each.name in names))
    launches = {program.name: launch_of(only, program) for program in only.programs}
    groups = [] if account_problem(only) or runs_as_root(only) else alike(only, launches)
    if not groups:
        return PreflightFacts(only, launches, Interpreter(""))
    require_rights(only)
    _, secrets = read_environment(only, launches)
    with orphans_ended(only), ThreadPoolExecutor(max_workers=4) as pool:
        places = [place_of(only, launches[programs[0].name], secrets) for programs in groups]
        loads = [pool.submit(app_facts.ask, place, only.app, timeout=timeout) for place in places]
        asked = tuple(_loaded(*pair) for pair in zip(groups, loads, strict=True))
    return PreflightFacts(only, launches, Interpreter(""), asked=asked)


def _loaded(programs: tuple[Program, ...], app: Future[AppFacts]) -> AppAnswer:
    try:
        return AppAnswer(programs, app.result())
    except ProcmanError as error:
        return AppAnswer(programs, None, error.message, error.hint)


def _refused(project: Project, replaced: Sequence[Path]) -> tuple[tuple[str, ...], str]:
    from procman.deploy.adoption_plan import NOTHING_CHANGED
    from procman.deploy.prepare import prepare
    from procman.install.safe_fs.tree import Tree

    try:
        with Tree() as tree:
            prepare(project, tree, replaced)
    except ProcmanError as error:
        return tuple(error.message.splitlines()), "" if error.hint == NOTHING_CHANGED else error.hint
    return (), ""


# The app and its broker ----------------------------------------------------------------------------------------------


def _ask_all(
    pool: ThreadPoolExecutor,
    project: Project,
    launches: Mapping[str, Launch],
    secrets: Mapping[str, str],
    timeout: float,
) -> list[AppAnswer]:
    futures: list[tuple[tuple[Program, ...], Future[AppFacts], Future[BrokerFacts]]] = []
    for programs in alike(project, launches):
        launch = launches[programs[0].name]
        where = place_of(project, launch, secrets)
        commands = {each.name: arguments_of(project, each) for each in programs}
        app = pool.submit(app_facts.ask, where, project.app, settings=["DEBUG"], commands=commands, timeout=timeout)
        url = project.health.management_url
        queues = declared_queues(programs)
        broker = pool.submit(
            ask_broker, where, project.app, programs=queues, management_url=url, every_url=True, timeout=timeout / 2
        )
        futures.append((programs, app, broker))
    return [_asked(programs, app, broker) for programs, app, broker in futures]


def _asked(programs: tuple[Program, ...], app: Future[AppFacts], broker: Future[BrokerFacts]) -> AppAnswer:
    loaded = _loaded(programs, app)
    if loaded.app is None:
        return loaded
    try:
        answer = replace(loaded, broker=broker.result())
    except ProcmanError as error:
        return replace(loaded, broker_error=error.message)
    seconds = max((longest_task(program, answer) or 0.0 for program in programs), default=0.0)
    return replace(answer, broker=answer.broker and with_server_timeout(answer.broker, seconds))


def _services(asked: list[AppAnswer]) -> list[Service]:
    return list(dict.fromkeys(service for each in asked if each.app for service in each.app.services))


# Files and directories, as the user ----------------------------------------------------------------------------------


def _look(
    project: Project,
    launches: Mapping[str, Launch],
    secrets: Mapping[str, str],
    asked: list[AppAnswer],
    *,
    set_aside: bool,
) -> PreflightFacts:
    executables = Executables.of(project.programs)
    question = _question(project, asked) | {
        "commands": executables.looked_up(launches, secrets),
        "set_aside": set_aside,
    }
    try:
        answer = _answer(project, question)
    except ProcmanError as error:
        ended = f"{python_of(project)} exited without an answer"
        detail = ended if isinstance(error, AppError) else error.message
        return PreflightFacts(project, launches, Interpreter("", detail, error.hint))
    found = {Path(path): Place(**each) for path, each in answer["paths"].items()}
    found_commands, reload_commands = executables.found(answer["commands"])
    return PreflightFacts(
        project=project,
        launches=launches,
        interpreter=Interpreter(answer["python"]),
        asked=tuple(asked),
        places=found,
        below={Path(path): _below(each) for path, each in answer["below"].items()},
        schedule=_schedule(answer) if answer["schedule"] else None,
        commands=found_commands,
        reload_commands=reload_commands,
        unknown_subcommands=tuple(answer["unknown"]),
        forbidden=_forbidden(project, asked),
    )


def _companion(project: Project, launches: Mapping[str, Launch]) -> PreflightFacts:
    """Return what the commands of one table see, if the caller may look as their user."""
    table = project.programs[0].key
    problem = account_problem(project) or (ROOT.format(user=project.user) if runs_as_root(project) else "")
    own = {each.name: launches[each.name] for each in project.programs}
    nothing = PreflightFacts(project, own, Interpreter(""), table=table)
    if problem:
        return replace(nothing, host=Host(account_problem=problem))
    if may_not_look(project):
        return nothing
    file, secrets = read_environment(project, own, table)
    with ThreadPoolExecutor(max_workers=1) as pool:
        # With these secrets alone: those of the project are not for another user.
        tried = try_wrappers(pool, project, own, secrets)
        seen = _look(project, own, secrets, [], set_aside=False)
    wrappers = {name: each.result() for name, each in tried.items()}
    return replace(seen, environment_file=file, table=table, wrappers=wrappers)


def _question(project: Project, asked: list[AppAnswer]) -> dict[str, Any]:
    """Return what the probe is asked about the paths and the commands of `project`."""
    schedule = _schedule_file(project, asked)
    return {
        "paths": [str(path) for path in dict.fromkeys(_paths(project, asked))],
        "below": [str(path) for path in dict.fromkeys(_looked_into(project, asked))],
        "subcommands": sorted(set(filter(None, map(celery_subcommand, project.programs)))),
        "schedule": str(schedule) if schedule else None,
    }


def _answer(project: Project, question: Mapping[str, Any]) -> dict[str, Any]:
    if runs_as_root(project):
        # Root runs no code of the project; and here root's own file access is the one to check.
        return path_script.answer({**question, "schedule": None, "subcommands": []})
    where = Where(python_of(project), {}, Path("/"), project.user, project.group)
    words = [json.dumps(question)]
    return ask_project(where, "to check paths", PATH_SOURCES, words, timeout=LOOKING_SECONDS)


def _paths(project: Project, asked: list[AppAnswer]) -> list[Path]:
    paths = [project.directory, *project.python_path, *written_paths(project, asked)]
    paths += [path for program in project.programs for path in run_directories(project, program)]
    return [*paths, project.environment_file] if project.environment_file else paths


def _looked_into(project: Project, asked: list[AppAnswer]) -> list[Path]:
    return [*project.writable_paths, *media_roots(asked), project.directories.logs]


def _schedule_file(project: Project, asked: list[AppAnswer]) -> Path | None:
    judged = {name: each for answer in asked for name, each in answer.judged.items()}
    for program in project.programs:
        keeps_file = program.name not in judged or judged[program.name].keeps_file is not False
        if isinstance(program.options, Beat) and keeps_file:
            return program.options.schedule_file
    return None


def _below(found: Mapping[str, Any]) -> Below:
    unwritable = tuple((str(name), str(owner)) for name, owner in found["unwritable"])
    return Below(int(found["directories"]), unwritable, tuple(map(str, found["files"])))


def _schedule(answer: Mapping[str, Any]) -> Schedule:
    return Schedule(
        {Path(path): Place(**each) for path, each in answer["schedule"]["files"].items()},
        answer["schedule"]["problem"] or "",
        answer["schedule"]["opens"],
        tuple((Path(old), Path(new)) for old, new in answer["set_aside"]),
    )


def _forbidden(project: Project, asked: list[AppAnswer]) -> dict[str, tuple[Path, ...]]:
    sandbox = backend_named(project.backend).sandbox
    if sandbox is None:
        return {}
    found = {}
    for each in asked:
        for program in each.programs:
            paths = sandbox.read_only(project, program, [written.path for written in each.written])
            if paths:
                found[program.name] = tuple(paths)
    return found
