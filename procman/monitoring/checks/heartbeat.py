"""PM200 to PM204, PM301 to PM303, PM401 and PM402, which the heartbeat comes to; PM205 and PM206, about its file."""

from __future__ import annotations

from collections.abc import Iterator

from procman.agent.verdict import Verdict
from procman.model import Kind, Level, Result, State
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

FIGURES = ("slots", "busy", "reserved", "finished")

HINTS = {
    "PM201": "Healing or `procman restart {name}` ends it, by force if it does not listen.",
    "PM202": "procman restart {name}",
    "PM203": "Look at the broker and at the log: procman logs {name}",
    "PM204": "procman logs {name}",
    "PM301": "procman restart {name}; if you told it to consume nothing: procman hold {name}",
    "PM302": "procman logs {name}; then: procman restart {name}",
    "PM303": "procman restart {name}; if you told it to consume nothing: procman hold {name}",
    "PM401": "procman logs {name}; then: procman restart {name}",
    "PM402": "procman logs {name} says why it is not sent.",
}


def check_verdict(code: str, running: ProjectSnapshot) -> Iterator[Result]:
    """Yield what the heartbeats come to, of those programs whose verdict has CODE."""
    for snapshot in running.up:
        if snapshot.verdict and snapshot.verdict.code == code:
            yield of_verdict(snapshot, snapshot.verdict)


def of_verdict(snapshot: ProgramSnapshot, verdict: Verdict) -> Result:
    """Return the verdict on a program as a result, with the figures of its heartbeat."""
    level, name = Level[verdict.level], snapshot.program.name
    hint = HINTS.get(verdict.code, "").format(name=name) if level else ""
    return Result(verdict.code, name, level, verdict.reason, hint, _values(snapshot))


def _values(snapshot: ProgramSnapshot) -> dict[str, float]:
    values = {name: float(snapshot.says[name]) for name in FIGURES if snapshot.says.get(name) is not None}
    waiting = [queue["messages"] for queue in snapshot.says.get("queues", ()) if queue["messages"] is not None]
    return {**values, "messages": float(sum(waiting))} if waiting else values


def check_readable(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield whether there is a heartbeat of each worker and beat that has a launcher (PM205)."""
    for snapshot in running.up:
        if not snapshot.program.launcher or snapshot.program.kind is Kind.COMMAND:
            continue
        if snapshot.heartbeat.content:
            yield Result("PM205", snapshot.program.name, Level.OK, "")
        else:
            yield _absent(running, snapshot)


def _absent(running: ProjectSnapshot, snapshot: ProgramSnapshot) -> Result:
    name, process = snapshot.program.name, running.processes.get(snapshot.state.pid or 0)
    age = process.age if process else 0.0
    grace = max(snapshot.program.start_seconds, running.manifest.health.stale_seconds)
    if snapshot.heartbeat.problem:
        # A program that is well writes it anew within seconds.
        hint = f"If it says so for long: ls -l of that file, and procman logs {name}"
        return Result("PM205", name, Level.WARNING, snapshot.heartbeat.problem, hint)
    if age < grace or snapshot.state.state is State.STARTING:
        return Result("PM205", name, Level.OK, "it has just been started and has no heartbeat yet")
    hint = f"procman restart {name}" if snapshot.restart_due else f"procman logs {name} says why."
    return Result("PM205", name, Level.WARNING, "it writes no heartbeat: only its processes can be looked at", hint)


def check_written(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield which programs are well and cannot write their heartbeat, mostly because a disk is full (PM206)."""
    for snapshot in running.up:
        if snapshot.heartbeat.is_touched:
            detail = "it cannot write its heartbeat, and so nothing can be told of it"
            hint = "Free some space where procman keeps its state: df -h /var/lib/procman"
            yield Result("PM206", snapshot.program.name, Level.WARNING, detail, hint)
