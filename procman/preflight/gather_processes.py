"""Gather the workers and beats on this host that would stay beside those of an install."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from procman import adoption
from procman.accounts import user_id, user_name
from procman.adoption.running import ROOT, command_by_root, source_of
from procman.agent import LAUNCHER
from procman.agent.verdict import IMPORTING
from procman.backends import controller_of
from procman.celery_cli.node_names import ANY_HOST, node_name
from procman.celery_cli.parse import CeleryCommand
from procman.celery_cli.running import arguments_of as celery_arguments_of
from procman.celery_cli.same_app import AppPlace, is_of_app
from procman.deploy.adoption_plan import adopted_by, plan_adoptions
from procman.errors import ProcmanError
from procman.host.celery_processes import is_celery
from procman.host.process import directory_of, user_of
from procman.host.process_table import Process, Processes, by_parent, look_at
from procman.host.runner import Runner, runner_of
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import current_generation, read_installation
from procman.launch import arguments_of, launcher_path
from procman.lint.find_celery import read_celery, recognise
from procman.model import Adopted, Kind
from procman.monitoring.checks.adopted_programs import runs
from procman.monitoring.checks.celery_processes import is_named
from procman.monitoring.checks.foreign_heartbeat import heartbeat_of
from procman.monitoring.checks.second_beats import IDLE
from procman.preflight.inputs import OtherProgram
from procman.project import Project
from procman.secrets import masked_command
from procman.sources import SUPERVISOR, SYSTEMD, Source, source_in

LONGEST_COMMAND = 200


class _Found(NamedTuple):
    process: Process
    command: CeleryCommand
    runner: Runner
    node_name: str


def other_programs(project: Project, replaced: Sequence[Path] = ()) -> Iterator[OtherProgram]:
    """Yield each worker and beat that stays beside the programs of `project` after its install.

    `replaced` are the unmanaged files whose programs of the same names are adopted.
    """
    processes = look_at((), ("celery", LAUNCHER))
    ours = _processes_of(project, processes)
    sources = _sources(project, replaced)
    adopted = _below(_pids(sources, project), processes)
    found = [each for each in _celery(processes) if each.process.pid not in ours | adopted]
    pids = {each.process.pid for each in found}
    units = [each.runner.unit for each in found if each.process.parent not in pids]
    for each in found:
        # Pool processes have the command line of their parent.
        is_child = each.process.parent in pids or _is_ours(each.process, project)
        if not is_child and not any(runs(each.runner, source, each.node_name) for source in sources):
            yield _described(each, project, shares_unit=units.count(each.runner.unit) > 1)


def _celery(processes: Processes) -> Iterator[_Found]:
    for process in processes.values():
        command = None if process.is_zombie else _command(process)
        if command:
            runner = runner_of(process.pid)
            yield _Found(process, command, runner, _node_name(command, runner))


def _command(process: Process) -> CeleryCommand | None:
    """Return the worker or beat that a process runs, also by its title or through a project's own command line."""
    command = read_celery(process.argv)
    if command is None and is_celery(process):
        command = read_celery(["celery", *celery_arguments_of(process.argv)])
    return command


def _node_name(command: CeleryCommand, runner: Runner) -> str:
    if command.kind is not Kind.WORKER:
        return ""
    hostname = command.values.get("hostname")
    text = str(hostname) if hostname else None
    if runner.in_container:
        # The container has a name of its own.
        name = node_name(text)
        return "" if ANY_HOST in name else name
    return node_name(text, os.uname().nodename)


# Those that do not stay ----------------------------------------------------------------------------------------------


def _processes_of(project: Project, processes: Processes) -> set[int]:
    """Return the processes of the installed project, also of programs that have no launcher."""
    try:
        with Tree() as tree:
            current = current_generation(tree, project.directories.state)
        states = controller_of(current.manifest).states(current.manifest.programs) if current else ()
    except ProcmanError:
        # Without the rights to ask, the launcher of a program identifies it.
        return set()
    return _below([state.pid for state in states if state.pid], processes)


def _below(pids: Collection[int], processes: Processes) -> set[int]:
    children: Mapping[int, Sequence[Process]] = by_parent(processes)
    found = list(pids)
    for pid in found:
        found += [each.pid for each in children.get(pid, ())]
    return set(found)


def _is_ours(process: Process, project: Project) -> bool:
    if str(launcher_path(project)) in process.argv[:3]:
        return True
    # Without the launcher, only its arguments identify a program of ours: they name its schedule file or node.
    plain = [each for each in project.programs if each.kind is not Kind.COMMAND and (each.wrapper or not each.launcher)]
    ours = {arguments_of(project, program) for program in plain}
    return any(process.argv[-len(words) :] == words for words in ours)


def _sources(project: Project, replaced: Sequence[Path]) -> list[Source]:
    """Return what the install has yet to adopt; a program that was adopted earlier and runs again stays."""
    named = [source_in(text) for program in project.programs for text in program.adopts]
    found = [*(each for each in named if each), *(each for file in replaced for each in _in_file(file, project))]
    earlier = {each.source for each in _adopted_earlier(project)}
    return [each for each in found if str(each) not in earlier]


def _adopted_earlier(project: Project) -> Sequence[Adopted]:
    try:
        with Tree() as tree:
            installation = read_installation(tree, project.directories)
            # Its plan adopts again what an administrator has put back.
            again = {
                one.source for each in plan_adoptions(tree, installation, project).adoptions for one in each.adopted
            }
    except ProcmanError:
        return ()
    return [each for each in adopted_by(installation) if each.source not in again]


def _in_file(file: Path, project: Project) -> Iterator[Source]:
    for program in project.programs:
        if file.suffix != ".service":
            yield Source(SUPERVISOR, str(file.absolute()), program.name)
        elif file.stem == program.name:
            yield Source(SYSTEMD, file.name)


def _pids(sources: Sequence[Source], project: Project) -> list[int]:
    """Return the processes of what is adopted; the plan of the install reports a source that matches nothing."""
    try:
        return [pid for each in adoption.find(sources, project) for pid in each.pids]
    except ProcmanError:
        return [pid for each in sources for pid in _pids([each], project)] if len(sources) > 1 else []


# Those that do -------------------------------------------------------------------------------------------------------


def _described(found: _Found, project: Project, *, shares_unit: bool) -> OtherProgram:
    process, command, runner = found.process, found.command, found.runner
    directory, user = directory_of(process.pid), user_of(process.pid)
    app, heartbeat = command.project.get("app"), heartbeat_of(process.pid, project.directories.state)
    source = source_of(runner, found.node_name.partition("@")[0] if shares_unit else "")
    queues = command.values.get("queues")
    is_own, place = user == user_id(project.user), AppPlace(project.app, project.directory, project.virtualenv)
    return OtherProgram(
        kind=command.kind,
        pid=process.pid,
        user="?" if user is None else user_name(user),
        command=masked_command(process.argv)[:LONGEST_COMMAND],
        app=str(app) if app else None,
        directory=str(directory or "?"),
        program=heartbeat.get("program", ""),
        is_procmans=any(word.endswith(f"/{LAUNCHER}") for word in process.argv[:3]),
        brokers=tuple(heartbeat.get("brokers", ())),
        has_lock=heartbeat.get("lock") is not None,
        is_of_own_user=is_own,
        is_believed=is_own or user == ROOT or _is_configured_by_root(command, runner, user),
        is_of_app=is_of_app(command, process.argv, directory, place),
        with_beat=command.with_beat,
        node_name=heartbeat.get("node_name") or found.node_name,
        queues=tuple(map(str, queues)) if isinstance(queues, list) else None,
        runner=str(runner),
        source=str(source or ""),
        known_as=_known_as(found),
        is_beside=is_named(project.beside, found.node_name, runner),
        # Its start script runs first, and then its first heartbeat has no broker yet.
        is_starting=heartbeat.get("phase", IMPORTING) in IDLE and not heartbeat.get("brokers"),
    )


def _is_configured_by_root(command: CeleryCommand, runner: Runner, user: int | None) -> bool:
    """Return whether root's own files start such a program; any user can start one that only looks like it."""
    words = command_by_root(runner)
    if not words:
        return False
    name = None if user is None else user_name(user)
    known = recognise(runner.unit or runner.program, words, Path("/"), {}, name)
    return known.multi or known.kind is command.kind


def _known_as(found: _Found) -> str:
    """Return the name for `beside`: what runs the process, or its node name as its command line has it."""
    program = found.runner.program
    hostname = str(found.command.values.get("hostname") or "celery@%h")
    return found.runner.unit or (program if "?" not in program else "") or (hostname if found.node_name else "")
