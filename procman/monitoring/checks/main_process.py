"""PM102 and PM103: check that a main process belongs to its program and keeps running."""

from __future__ import annotations

import time
from collections.abc import Iterator

from procman.accounts import user_id, user_name
from procman.agent.verdict import AT_WORK, OK, format_duration
from procman.host.process import user_of
from procman.model import Level, Result
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

CLOCKS_APART_SECONDS = 120.0
"""How much later than its process manager reports a process may have started."""

NEW_SECONDS = 5.0
"""The age up to which a process may still be its process manager's own, and changes its user and program next."""

RESTARTS = 3
RESTARTED_WITHIN_SECONDS = 3600.0

RECOVERED_SECONDS = 300.0
"""How long a program must work without a problem before its restarts are no longer reported."""


def check_identity(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether each main process has the expected user, virtualenv and age (PM102)."""
    for snapshot in running.up:
        problem = "" if _is_new(running, snapshot) else _problem(running, snapshot)
        level = Level.CRITICAL if problem else Level.OK
        hint = f"ps -fp {snapshot.state.pid}, then procman restart {snapshot.program.name}" if problem else ""
        yield Result("PM102", snapshot.program.name, level, problem, hint)


def _is_new(running: ProjectSnapshot, snapshot: ProgramSnapshot) -> bool:
    process = running.processes.get(snapshot.state.pid or 0)
    return process is not None and process.age < NEW_SECONDS


def _problem(running: ProjectSnapshot, snapshot: ProgramSnapshot) -> str:
    return of_another_user(snapshot) or _of_another_virtualenv(running, snapshot) or _too_young(running, snapshot)


def of_another_user(snapshot: ProgramSnapshot) -> str:
    """Return why the main process is not of the program's user, so that it is never signalled; empty if it is."""
    user = user_of(snapshot.state.pid or 0)
    if snapshot.program.user is None or user is None:
        return ""
    desired = user_id(snapshot.program.user)
    if desired is None:
        return f"its user {snapshot.program.user} no longer exists"
    if user == desired:
        return ""
    return f"process {snapshot.state.pid} runs as {user_name(user)}, not as {snapshot.program.user}; it is not healed"


def _of_another_virtualenv(running: ProjectSnapshot, snapshot: ProgramSnapshot) -> str:
    process, virtualenv = running.processes.get(snapshot.state.pid or 0), running.manifest.virtualenv
    # A command replaces the launcher, and can have any command line.
    if process is None or virtualenv is None:
        return ""
    if not snapshot.program.launcher or str(running.launcher) not in process.argv:
        return ""
    python = process.argv[0]
    is_ours = python.startswith(f"{virtualenv}/")
    return "" if is_ours else f"process {process.pid} runs {python}, which is not in {virtualenv}"


def _too_young(running: ProjectSnapshot, snapshot: ProgramSnapshot) -> str:
    process, since = running.processes.get(snapshot.state.pid or 0), snapshot.state.since
    # The heartbeat is more reliable: if the clock was set, the process manager's time is wrong.
    if process is None or since is None or snapshot.heartbeat.content:
        return ""
    if time.time() - since - process.age <= CLOCKS_APART_SECONDS:
        return ""
    return f"process {process.pid} started later than the process manager reports, so it may be of another program"


def check_restarts(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether programs keep exiting and are restarted, as far as the process manager counts it (PM103)."""
    for snapshot in running.programs:
        process = running.processes.get(snapshot.state.pid or 0)
        if snapshot.state.restarts is not None and process is not None:
            yield of_restarts(snapshot, snapshot.state.restarts, process.age)


def of_restarts(snapshot: ProgramSnapshot, restarts: int, age: float) -> Result:
    """Return PM103 for a program with this number of `restarts`, whose main process has this `age` in seconds."""
    name, values = snapshot.program.name, {"restarts": float(restarts)}
    if restarts < RESTARTS or age > RESTARTED_WITHIN_SECONDS or _has_recovered(snapshot, age):
        return Result("PM103", name, Level.OK, "", "", values)
    detail = (
        f"it exited unexpectedly and was restarted {restarts} times since the last start, stop or restart, "
        f"most recently {format_duration(age)} ago"
    )
    return Result("PM103", name, Level.WARNING, detail, f"procman logs {name}", values)


def _has_recovered(snapshot: ProgramSnapshot, age: float) -> bool:
    """Return whether the program has worked for long enough, as far as its heartbeat or else its age shows."""
    says = snapshot.says
    if not says:
        return age > RECOVERED_SECONDS
    is_healthy = says["phase"] in AT_WORK and snapshot.verdict is not None and snapshot.verdict.level == OK
    return bool(is_healthy and says["written"] - says["phase_since"] > RECOVERED_SECONDS)
