"""PM115: find existing programs that the project has adopted and that run again; report them, never end them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from procman.accounts import user_id
from procman.celery_cli.running import CELERY, arguments_of, subcommand
from procman.host.control_group import processes_of
from procman.host.process import user_of
from procman.host.process_table import Process, look_at
from procman.host.process_tree import children_finder, tree_of
from procman.host.runner import HONCHO, SUPERVISORD, Runner, has_read, runner_of
from procman.install.state.manifest import Manifest
from procman.model import Adopted, Kind, Level, Result
from procman.monitoring.checks.celery_processes import node_name_of
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot
from procman.monitoring.checks.quick import most_severe
from procman.monitoring.checks.second_beats import ROOT
from procman.sources import INIT_D, PROCFILE, SUPERVISOR, SYSTEMD, Source, source_in

CODE = "PM115"
KINDS = ("worker", "beat")
SERVICE = ".service"


class Other(NamedTuple):
    """A process that is not the project's, and what runs it."""

    pid: int
    argv: tuple[str, ...]
    node_name: str
    runner: Runner


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether an existing program that a program of the project has replaced runs again."""
    pids = [*running.others, *(each.state.pid for each in running.programs if each.state.pid)]
    yield from _judged(running.manifest, running.programs, pids)


def with_returned(manifest: Manifest, programs: Sequence[ProgramSnapshot], results: Sequence[Result]) -> list[Result]:
    """Return `results`, one for each of `programs`, with PM115 in place of each that is less severe."""
    returned = _judged(manifest, programs, [each.state.pid for each in programs if each.state.pid])
    found = {each.program: each for each in returned if each.level is not Level.OK}
    return [
        most_severe([each, found[each.program]])._replace(values=each.values) if each.program in found else each
        for each in results
    ]


def _judged(manifest: Manifest, programs: Sequence[ProgramSnapshot], pids: Sequence[int]) -> Iterator[Result]:
    adopted = {each.program for each in manifest.adopted}
    concerned = [each for each in programs if each.program.name in adopted]
    others = _others(manifest, pids) if concerned else []
    for snapshot in concerned:
        of_program = [each for each in manifest.adopted if each.program == snapshot.program.name]
        found = [
            _result(snapshot, each, other) for each in of_program for other in others if _is(each, other, snapshot)
        ]
        yield found[0] if found else Result(CODE, snapshot.program.name, Level.OK, "")


def _others(manifest: Manifest, pids: Sequence[int]) -> list[Other]:
    """Return every process that may be an adopted program: Celery's, those of each supervisord, and those of units."""
    processes, children_of = look_at((), (CELERY, SUPERVISORD[0], HONCHO)), children_finder()
    own = {each for pid in pids for each in tree_of(pid, children_of)}
    celery = [each.pid for each in processes.values() if subcommand(arguments_of(each.argv)) in KINDS]
    managed = [child for each in processes.values() if _is_manager(each) for child in children_of(each.pid)]
    units = [pid for each in manifest.adopted for unit in _units(each) for pid in processes_of(f"/system.slice/{unit}")]
    launcher = f"{manifest.directories.library}/"
    found = []
    for pid in sorted({*celery, *managed, *units} - own):
        process = processes.get(pid)
        argv = process.argv if process else ()
        if not any(word.startswith(launcher) for word in argv[:3]):
            node = node_name_of(process, os.uname().nodename) if process else ""
            found.append(Other(pid, argv, node, runner_of(pid)))
    return found


def _is_manager(process: Process) -> bool:
    return any(word.rpartition("/")[2] in (*SUPERVISORD, HONCHO) for word in process.argv[:4])


def _units(adopted: Adopted) -> set[str]:
    """Return the names of the unit that ran an adopted program, also that of which its name was an alias."""
    source = source_in(adopted.source)
    if source is None or source.scheme not in (SYSTEMD, INIT_D):
        return set()
    name = _unit(source)
    return {name, *(link.target.rpartition("/")[2] for link in adopted.links if link.path.name == name)}


def _unit(source: Source) -> str:
    # systemd makes a unit of each script in /etc/init.d.
    return source.place if source.place.endswith(SERVICE) else f"{source.place}{SERVICE}"


def _aliased(adopted: Adopted, source: Source) -> list[Source]:
    return [source._replace(scheme=SYSTEMD, place=unit) for unit in _units(adopted)]


def _is(adopted: Adopted, other: Other, snapshot: ProgramSnapshot) -> bool:
    source, runner = source_in(adopted.source), other.runner
    if source is None or not any(runs(runner, each, other.node_name) for each in (source, *_aliased(adopted, source))):
        return False
    if not _has_same_manager(adopted, source, runner):
        return False
    # systemd puts a process into its control group; anyone can start a process below a false supervisord.
    users = {user_of(other.pid), user_of(runner.manager) if runner.manager else ROOT}
    return not users.isdisjoint((ROOT, user_id(snapshot.program.user)))


def _has_same_manager(adopted: Adopted, source: Source, runner: Runner) -> bool:
    """Return whether the supervisord or honcho of a process is that of the adopted program, not one of another file."""
    if source.scheme == SUPERVISOR and adopted.manager:
        return has_read(runner.manager, Path(adopted.manager), is_honcho=False)
    return source.scheme != PROCFILE or has_read(runner.manager, Path(source.place), is_honcho=True)


def _result(snapshot: ProgramSnapshot, adopted: Adopted, other: Other) -> Result:
    name = snapshot.program.name
    what = f"{adopted.source}, which {name} replaced, runs again as process {other.pid}"
    hint = f"{_stop(adopted, other)}\nHow it can come back: procman explain {CODE}"
    if not snapshot.is_up:
        return Result(CODE, name, Level.WARNING, f"{what}, in place of it", hint)
    is_beat = snapshot.program.kind is Kind.BEAT or subcommand(arguments_of(other.argv)) == "beat"
    why = "every periodic task is sent twice" if is_beat else "both do the same work, the old one with its old settings"
    return Result(CODE, name, Level.CRITICAL, f"{what}, beside process {snapshot.state.pid}: {why}", hint)


def _stop(adopted: Adopted, other: Other) -> str:
    """Return the command that stops the process; the user of the process can choose the name of its program."""
    from shlex import join  # here, because `status` mostly has no use for it

    runner = other.runner
    if runner.unit:
        return join(["systemctl", *(["--user"] if runner.is_of_user else []), "disable", "--now", runner.unit])
    if runner.program and not runner.is_honcho:
        configuration = ["-c", adopted.manager] if adopted.manager else []
        return join(["supervisorctl", *configuration, "stop", runner.program])
    # honcho ends all of its programs when one ends.
    return f"kill -TERM {runner.manager or other.pid}"


def runs(runner: Runner, source: Source, node_name: str = "") -> bool:
    """Return whether a process that `runner` runs, a worker with `node_name` or a beat, is `source`."""
    if source.scheme in (SYSTEMD, INIT_D):
        return runner.unit == _unit(source) and source.name.partition("@")[0] in ("", node_name.partition("@")[0])
    if source.scheme == PROCFILE:
        return runner.is_honcho and runner.program.partition(".")[0] == source.name
    return source.scheme == SUPERVISOR and not runner.is_honcho and source.name in _names_in_supervisord(runner.program)


def _names_in_supervisord(program: str) -> tuple[str, ...]:
    """Return the names that the section of `program` may have: one with numprocs has a number, and its own group."""
    group, _, name = program.rpartition(":")
    return (name, re.sub(r"_?\d+$", "", name), *((group,) if group and name.startswith(group) else ()))
