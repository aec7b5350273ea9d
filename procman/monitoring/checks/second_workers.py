"""PM114: find workers with one node name, which the broker takes for the same worker; report them, never end them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from procman.accounts import user_id
from procman.agent import LAUNCHER
from procman.celery_cli.node_names import ANY_HOST, NAMED_ALIKE
from procman.host.process import user_of
from procman.host.process_table import Process
from procman.host.runner import Runner, runner_of
from procman.model import Kind, Level, Result
from procman.monitoring.checks.celery_processes import is_named, node_name_of
from procman.monitoring.checks.foreign_heartbeat import heartbeat_of, share_broker
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot
from procman.monitoring.checks.second_beats import IDLE, ROOT

FIRST_HEARTBEAT_SECONDS = 10.0
"""The launcher writes the first heartbeat before it imports the app, but the host may be busy."""


class Double(NamedTuple):
    """Another worker with the node name of one of the project's."""

    pid: int
    name: str
    """What runs it, or which program of a procman project it is; empty if that is unknown."""
    is_certain: bool
    """Whether it is known to use the same broker."""
    is_procmans: bool


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether another worker on this host has the node name of one of the project's.

    Only processes of the program's own user and of root count: any user can run a process with any command line.
    """
    own = [(each, _node_name(each, running)) for each in running.up if each.program.kind is Kind.WORKER]
    others = _others(running) if own else {}
    for snapshot, name in own:
        twins = [each for each, other in own if name and other == name and each is not snapshot]
        doubles = (_double(each, name, snapshot, running) for each in others.get(name, ()))
        found = [*map(_of_this_project, twins), *(each for each in doubles if each)]
        yield _result(snapshot, name, found) if found else Result("PM114", snapshot.program.name, Level.OK, "")


def _node_name(snapshot: ProgramSnapshot, running: ProjectSnapshot) -> str:
    main = running.processes.get(snapshot.state.pid or 0)
    return snapshot.says.get("node_name") or (node_name_of(main, os.uname().nodename) if main else "")


def _others(running: ProjectSnapshot) -> Mapping[str, list[Process]]:
    """Return the workers that the project's process manager does not run, by node name."""
    mains = [each.state.pid for each in running.programs if each.state.pid] + list(running.others)
    known = {process.pid for pid in mains for process in running.below(pid)}
    # Another process of the launcher waits for the lock of the first (PM109).
    rest = [each for each in running.processes.values() if str(running.launcher) not in each.argv[:2]]
    names = {each.pid: node_name_of(each, os.uname().nodename) for each in rest if each.pid not in known}
    found: dict[str, list[Process]] = {}
    for process in rest:
        # Pool processes have the command line of their parent.
        if names.get(process.pid) and not names.get(process.parent):
            found.setdefault(names[process.pid], []).append(process)
    return found


def _double(process: Process, name: str, snapshot: ProgramSnapshot, running: ProjectSnapshot) -> Double | None:
    user, own = user_of(process.pid), user_id(snapshot.program.user)
    if user not in (own, ROOT):
        return None
    runner, heartbeat = runner_of(process.pid), heartbeat_of(process.pid, running.manifest.directories.state)
    if user != own and not heartbeat and _is_launched(process):
        return None  # of a project in root's own directories, which only root can read
    shares = share_broker(snapshot.says.get("brokers", ()), heartbeat.get("brokers", ()))
    if _is_importing(snapshot.says) or _is_importing(heartbeat) or (not heartbeat and _is_new(process)):
        return None
    if shares is False or is_named(running.manifest.beside, name, runner) or _is_of_another_host(process, runner):
        return None
    return Double(process.pid, heartbeat.get("program", "") or str(runner), bool(shares), bool(heartbeat))


def _is_importing(says: Mapping[str, Any]) -> bool:
    """Return whether a heartbeat does not have its broker yet."""
    return bool(says) and not says.get("brokers") and says.get("phase") in IDLE


def _is_new(process: Process) -> bool:
    """Return whether a process of a launcher may not have written its first heartbeat yet."""
    return process.age < FIRST_HEARTBEAT_SECONDS and _is_launched(process)


def _is_launched(process: Process) -> bool:
    return any(word.endswith(f"/{LAUNCHER}") for word in process.argv[:3])


def _is_of_another_host(process: Process, runner: Runner) -> bool:
    """Return whether the process is in a container and has the name of that in its node name."""
    return runner.in_container and ANY_HOST in node_name_of(process, ANY_HOST)


def _of_this_project(snapshot: ProgramSnapshot) -> Double:
    return Double(snapshot.state.pid or 0, snapshot.program.name, is_certain=True, is_procmans=True)


def _result(snapshot: ProgramSnapshot, node: str, found: list[Double]) -> Result:
    named = " and ".join(f"{each.pid} ({each.name})" if each.name else str(each.pid) for each in found)
    condition = "" if any(each.is_certain for each in found) else "if it uses the same broker, "
    detail = (
        f"process {named} is another worker with the node name {node}, beside process {snapshot.state.pid}: "
        f"{condition}{NAMED_ALIKE}"
    )
    rename = f"set another hostname in [{snapshot.program.key}]"
    if all(each.is_procmans for each in found):
        return Result("PM114", snapshot.program.name, Level.CRITICAL, detail, rename[0].upper() + rename[1:])
    pids = ",".join(str(each.pid) for each in found)
    hint = f"ps -fp {pids} shows who started it; end it and prevent its next start, or {rename}"
    if condition:
        hint += "\nIf it uses another broker, name it in `beside` of [project]"
    return Result("PM114", snapshot.program.name, Level.CRITICAL, detail, hint)
