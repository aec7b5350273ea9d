"""Adopt programs of a supervisord: the project's own, or another one of the host."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from procman.adoption.base import Candidate, Progress
from procman.adoption.supervisord_files import Defined, main_files, processes_of, reader_of, sections_in, without
from procman.backends.graceful_stop import StillRunning
from procman.backends.supervisor.client import (
    ALREADY_STARTED,
    PATIENCE_SECONDS,
    Client,
    Fault,
    Info,
    NotRunning,
)
from procman.backends.supervisor.configuration.main_file import DEFAULT_FILES, read_main_file
from procman.backends.supervisor.configuration.supervisor_parser import Process
from procman.backends.supervisor.controller import SERVICES
from procman.backends.supervisor.graceful_stop import drain, stop_gracefully
from procman.backends.supervisor.reload import reread
from procman.backends.supervisor.states import RUNNING_STATES, desired, ended, state_of
from procman.celery_cli.running import BEAT_INSIDE
from procman.errors import ProcmanError
from procman.model import Adopted
from procman.project import Project
from procman.sources import Source, source_in

BEAT_WORDS = ("beat", *BEAT_INSIDE)
"""One of these is a word of a command that runs a beat."""


def find(sources: Sequence[Source], project: Project) -> list[Candidate]:
    """Return a candidate for each of `sources`. Raises one ProcmanError with a line for each that cannot be adopted."""
    mains, problems = main_files(project), []
    by_manager: dict[Path, list[Source]] = {}
    for source in sources:
        try:
            by_manager.setdefault(_manager_of(source, mains), []).append(source)
        except ProcmanError as error:
            problems.append(f"{source}: {error.message}")
    found = []
    for main, group in by_manager.items():
        try:
            found += _candidates(main, group)
        except ProcmanError as error:
            problems.append(f"{group[0]}: {error.in_one_line}")
    if problems:
        raise ProcmanError("\n".join(problems))
    return found


def stop(candidate: Candidate, seconds: int, progress: Progress) -> str:
    """Stop the processes of `candidate` as `drain` does, whatever the signal and timeout of its section."""
    client = _client(candidate.manager)
    try:
        if all(info is None or ended(info) for info in client.infos(candidate.processes).values()):
            return "was not running"
        drain(client, candidate.processes, seconds, progress, user=None, stop_signal=candidate.stop_signal)
    except NotRunning:
        return "its supervisord is not running"
    except StillRunning as error:
        raise ProcmanError(error.message, hint=f"{error.hint}\n{_ends_later(client.main.path, candidate)}") from None
    return "stopped gracefully"


def forget(candidate: Candidate, progress: Progress) -> str:  # noqa: ARG001 - removing a group takes no time
    """Remove the groups whose programs have all ended and are all adopted; return a warning about the others."""
    client = _client(candidate.manager)
    try:
        removed = reread(client).removed
        infos: list[Info] = client.call("getAllProcessInfo")
        configured = {_name(each) for each in client.call("getAllConfigInfo")}
    except NotRunning:
        return ""
    remarks = []
    for group in dict.fromkeys(info["group"] for info in infos if _name(info) in candidate.processes):
        members = [info for info in infos if info["group"] == group]
        ours = [info for info in members if _name(info) in candidate.processes]
        if all(ended(each) and (each in ours or group in removed) for each in members):
            client.call("removeProcessGroup", group)
        elif group not in removed:
            others = [each for each in members if _name(each) in configured]
            remarks.append(_stays(client.main.path, group, ours, others))
    return "\n".join(remarks)


def bring_back(adopted: Adopted, progress: Progress) -> str:
    """Load the section again, whose file is restored, and start it if it ran."""
    source = source_in(adopted.source)
    assert source
    if source.name not in {section.name for section in sections_in(Path(source.place))}:
        raise ProcmanError(
            f"{source.place} does not define it: it was changed after the adoption",
            hint="copy its section, and its name in a group, from the old file, then run "
            f"`{_start_by_hand(adopted.manager, source.name)}`",
        )
    client = _client(adopted.manager)
    processes = processes_of(Path(adopted.manager), source.name)
    try:
        return _start_again(client, processes, progress, was_running=adopted.was_running)
    except NotRunning as error:
        return f"starts with its supervisord, which is not running: {error.hint}"


def _start_by_hand(manager: str, name: str) -> str:
    """Return the commands that load `name`; a program that is still in memory, stopped, is no change for `update`."""
    infos, control = _infos(_client(manager)) or [], _control(Path(manager))
    starts = [f"{control} start {_name(info)}" for info in infos if info["name"] == name and ended(info)]
    return "; ".join((f"{control} update", *starts))


def _manager_of(source: Source, mains: Sequence[Path]) -> Path:
    file = Path(source.place)
    names = [section.name for section in sections_in(file)]
    if source.name not in names:
        others = f", only {', '.join(names)}" if names else ""
        raise ProcmanError(f"that file defines no program {source.name}{others}")
    return reader_of(file, mains)


def _candidates(main: Path, sources: Sequence[Source]) -> list[Candidate]:
    found = without(main, [source.name for source in sources])
    infos = _infos(_client(str(main)))
    return [_candidate(main, source, found, infos) for source in sources]


def _candidate(main: Path, source: Source, found: Defined, infos: Sequence[Info] | None) -> Candidate:
    processes = found.processes[source.name]
    loaded = [_loaded(each, infos) for each in processes] if infos is not None else []
    is_enabled = any(each.fields["autostart"] for each in processes)
    known = [info for info in loaded if info]
    is_running = any(desired(info, autostart=is_enabled) for info in known) if infos is not None else is_enabled
    return Candidate(
        sources=(source,),
        label=f"[program:{source.name}] of {source.place}",
        is_running=is_running,
        is_enabled=is_enabled,
        has_beat=any(_has_beat(each) for each in processes),
        files=found.files,
        manager=str(main),
        pids=tuple(info["pid"] for info in known if info["pid"]),
        processes=tuple(
            _name(info) if info else f"{each.group}:{each.name}"
            for each, info in zip(processes, loaded or [None] * len(processes), strict=True)
        ),
    )


def _loaded(process: Process, infos: Sequence[Info] | None) -> Info | None:
    """Return what supervisord has loaded as `process`, even in another group, as before an edit of its files."""
    alike = [info for info in infos or () if info["name"] == process.name]
    exact = [info for info in alike if info["group"] == process.group]
    return next(iter(exact or alike), None)


def _infos(client: Client) -> list[Info] | None:
    try:
        infos: list[Info] = client.call("getAllProcessInfo")
    except NotRunning:
        return None
    return infos


def _has_beat(process: Process) -> bool:
    return any(word.partition("=")[0] in BEAT_WORDS for word in str(process.fields["command"]).split())


def _name(info: Info) -> str:
    return f"{info['group']}:{info['name']}"


def _client(manager: str) -> Client:
    main = read_main_file(Path(manager))
    service = SERVICES.get(main.path)
    hint = f"systemctl start {service}" if service else f"supervisord -c {shlex.quote(manager)}"
    return Client(main, hint, PATIENCE_SECONDS)


def _ends_later(main: Path, candidate: Candidate) -> str:
    """Return how to start a program again that was asked to stop, and ends after the adoption has been given up."""
    start = f"{_control(main)} start {shlex.join(candidate.processes)}"
    return f"It ends when they have finished; unless its section has autorestart=true, start it again then: {start}"


def _control(main: Path) -> str:
    return "supervisorctl" if main in DEFAULT_FILES else f"supervisorctl -c {shlex.quote(str(main))}"


def _stays(main: Path, group: str, ours: Sequence[Info], others: Sequence[Info]) -> str:
    """Return what an administrator must know about programs that supervisord keeps in memory, in a group with others.

    supervisord removes only whole groups, whose programs have all ended (removeProcessGroup of supervisor 4).
    """
    control = _control(main)
    names, restarted = ", ".join(map(_name, ours)), ", ".join(info["name"] for info in others)
    return (
        f"supervisord keeps {names} in memory, stopped; `{control} restart {group}:` would start it again\n"
        f"  `{control} update {group}`, in a quiet moment, removes it and restarts {restarted}"
    )


def _start_again(client: Client, processes: Sequence[Process], progress: Progress, *, was_running: bool) -> str:
    names = [f"{each.group}:{each.name}" for each in processes]
    infos = client.infos(names)
    if not was_running and all(info is None or ended(info) for info in infos.values()):
        return "left stopped, as it was"
    if was_running and all(info and state_of(info) in RUNNING_STATES for info in infos.values()):
        return "still running"
    missing = {each.group for each in processes if infos[f"{each.group}:{each.name}"] is None}
    if missing:
        reread(client)
    for group in missing:
        if others := _running_in(client, group):
            return _starts_with(client.main.path, group, processes, others)
        _load(client, group, names, progress)
    for name in names:
        try:
            client.call("startProcess", name, False)
        except Fault as fault:
            if fault.code != ALREADY_STARTED:
                # Its hint is about procman's own programs.
                raise ProcmanError(fault.message) from None
    return "started again"


def _running_in(client: Client, group: str) -> list[str]:
    infos: list[Info] = client.call("getAllProcessInfo")
    return [info["name"] for info in infos if info["group"] == group and not ended(info)]


def _starts_with(main: Path, group: str, processes: Sequence[Process], others: Sequence[str]) -> str:
    """Return how to start `processes`, which supervisord cannot add to `group` while `others` run in it.

    It has loaded the group without them after a reboot, or after the command of `_stays`.
    """
    update = f"{_control(main)} update {group}"
    by_hand = [f"{group}:{each.name}" for each in processes if not each.fields["autostart"]]
    command = f"{update} && {_control(main)} start {shlex.join(by_hand)}" if by_hand else update
    return (
        f"not started yet, because supervisord has loaded the group {group} without it: `{command}` starts it, and "
        f"restarts {', '.join(others)}"
    )


def _load(client: Client, group: str, names: Collection[str], progress: Progress) -> None:
    """Load `group` without leaving a member started that is not among `names`: it may have been stopped on purpose."""
    infos: list[Info] = client.call("getAllProcessInfo")
    if any(info["group"] == group for info in infos):
        client.call("removeProcessGroup", group)
    client.call("addProcessGroup", group)
    members: Mapping[str, Info] = {
        _name(info): info for info in client.call("getAllProcessInfo") if info["group"] == group
    }
    stop_gracefully(client, {name: 60 for name in members if name not in names}, progress)
