"""PM200 to PM204, PM301 to PM303, PM401 and PM402, the verdict on a heartbeat; PM205 and PM206, about its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from procman.agent.verdict import CONSUMING, FORCE, STANDBY, WARM, WARNING, Verdict
from procman.model import Kind, Level, Result, State
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

if TYPE_CHECKING:
    from procman.host.write_problem import WriteProblem

FIGURES = ("slots", "busy", "reserved", "finished")

HINTS = {
    "PM201": "procman logs {name}, then procman restart {name}; healing does not restart it",
    "PM202": "procman restart {name}",
    "PM203": "procman health --probe checks the broker; procman logs {name}",
    "PM204": "procman logs {name}",
    "PM301": "procman restart {name}; if you cancelled its consumers on purpose: procman hold {name}",
    "PM302": "procman logs {name}, then procman restart {name}",
    "PM303": "procman restart {name}; if you cancelled its consumers on purpose: procman hold {name}",
    "PM401": "procman logs {name}, then procman restart {name}",
    "PM402": "procman logs {name} shows why the task is not sent",
}

FROZEN = {
    FORCE: "procman restart {name} (it kills a frozen process at its stop timeout; healing does so sooner)",
    WARM: "procman restart {name} (like healing, it waits for running tasks, and kills only at its stop timeout)",
}
"""For PM201, by the remedy of the verdict."""

PAUSED = "it continues once the debugger is detached, or its cgroup thawed; healing does not restart it"

SLOW_POOL = "procman logs {name}; a receiver of worker_process_init may be slow"
"""Not the broker, from which the worker consumes already."""

UNREADY = "procman logs {name}; an app that patches the standard library for gevent or eventlet needs that pool"


def check_verdict(code: str, running: ProjectSnapshot) -> Iterator[Result]:
    """Yield the verdicts that have `code`, one per program."""
    for snapshot in running.up:
        if snapshot.verdict and snapshot.verdict.code == code:
            yield of_verdict(snapshot, snapshot.verdict)


def of_verdict(snapshot: ProgramSnapshot, verdict: Verdict) -> Result:
    """Return the verdict on a program as a result, with the figures of its heartbeat."""
    level, name = Level[verdict.level], snapshot.program.name
    hint = _hint(verdict, snapshot.says).format(name=name) if level else ""
    return Result(verdict.code, name, level, verdict.reason, hint, _values(snapshot))


def _hint(verdict: Verdict, says: Mapping[str, Any]) -> str:
    phase = says["phase"]
    if verdict.code == "PM201" and verdict.level == WARNING:
        return PAUSED
    if verdict.code == "PM201" and verdict.remedy:
        return FROZEN[verdict.remedy]
    if verdict.code == "PM203" and phase == CONSUMING:
        return UNREADY if says["ready"] is False and not says["pool_starting"] else SLOW_POOL
    if verdict.code == "PM401" and verdict.level == WARNING and phase != STANDBY:
        # A beat that waits for the broker is not helped by a restart.
        return HINTS["PM203"]
    return HINTS.get(verdict.code, "")


def _values(snapshot: ProgramSnapshot) -> dict[str, float]:
    values = {name: float(snapshot.says[name]) for name in FIGURES if snapshot.says.get(name) is not None}
    waiting = [queue["messages"] for queue in snapshot.says.get("queues", ()) if queue["messages"] is not None]
    return {**values, "messages": float(sum(waiting))} if waiting else values


def check_readable(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether each worker and beat with a launcher has a readable heartbeat (PM205)."""
    for snapshot in running.up:
        if not snapshot.program.launcher or snapshot.program.kind is Kind.COMMAND:
            continue
        if snapshot.heartbeat.content:
            yield Result("PM205", snapshot.program.name, Level.OK, "")
        else:
            yield _absent(running, snapshot)


def of_earlier(snapshot: ProgramSnapshot) -> Result:
    """Return PM205 for a program that waits for an earlier process of the same program."""
    name, pid = snapshot.program.name, snapshot.heartbeat.earlier
    detail = f"it waits for process {pid} of the same program to exit, which holds its lock"
    return Result("PM205", name, Level.WARNING, detail, f"ps -fp {pid}; procman logs {name}")


def _absent(running: ProjectSnapshot, snapshot: ProgramSnapshot) -> Result:
    name, process = snapshot.program.name, running.processes.get(snapshot.state.pid or 0)
    age = process.age if process else 0.0
    grace = max(snapshot.program.start_seconds, running.manifest.health.stale_seconds)
    if snapshot.heartbeat.problem:
        # A healthy program replaces the file within seconds.
        usual = f"If this lasts for more than a minute: ls -l of that file, and procman logs {name}"
        hint = snapshot.heartbeat.remedy or usual
        return Result("PM205", name, Level.WARNING, snapshot.heartbeat.problem, hint)
    if snapshot.heartbeat.earlier:
        return of_earlier(snapshot)
    if age < grace or snapshot.state.state is State.STARTING:
        return Result("PM205", name, Level.OK, "it has just been started and has no heartbeat yet")
    from procman.host.write_problem import write_problem  # hardly ever needed

    detail = "it writes no heartbeat, so only its processes can be checked"
    directory = snapshot.run_directory or running.manifest.directories.run(name)
    problem = write_problem(directory, snapshot.program.user, snapshot.state.pid or 0)
    if problem:
        return Result("PM205", name, Level.WARNING, f"{detail}: {problem.reason}", problem.hint)
    hint = f"procman restart {name}" if snapshot.restart_due else f"procman logs {name} shows why"
    return Result("PM205", name, Level.WARNING, detail, hint)


def check_written(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield which programs run but cannot write their heartbeat, such as on a full disk (PM206)."""
    for snapshot in running.up:
        if snapshot.heartbeat.write_problem:
            yield unwritten(snapshot.program.name, snapshot.heartbeat.write_problem)


def unwritten(name: str, problem: WriteProblem) -> Result:
    """Return PM206 for a program that cannot write its heartbeat."""
    detail = f"it cannot write its heartbeat, so its health is unknown: {problem.reason}"
    return Result("PM206", name, Level.WARNING, detail, problem.hint)
