"""PM513: find workers of other projects on this host that consume the same queue of the same broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from procman.agent import LAUNCHER
from procman.host.process_table import Process, Processes
from procman.model import Kind, Level, Result
from procman.monitoring.checks.foreign_heartbeat import heartbeat_of, share_broker
from procman.monitoring.checks.held_messages import queues_of
from procman.monitoring.checks.inputs import ProjectSnapshot

REMEDY = "Give each project its own queues (queues in [worker.NAME], task_default_queue in the app) or its own broker"


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield each queue of this project that another project on this host consumes too."""
    own = [each.says for each in running.up if each.program.kind is Kind.WORKER and each.says.get("queues")]
    if not own:
        return
    others = list(other_workers(running.processes, running.launcher, running.manifest.directories.state))
    found: dict[str, tuple[str, str]] = {}
    for says in own:
        for other in others:
            for queue in shared(queues_of(says), says["brokers"], other):
                found.setdefault(queue, (says["program"], other["program"]))
    for queue, (program, other_program) in sorted(found.items()):
        yield Result("PM513", None, Level.WARNING, described(queue, program, other_program), REMEDY)
    if not found:
        yield Result("PM513", None, Level.OK, "")


def described(queue: str, program: str, other: str) -> str:
    """Return the problem in words."""
    return (
        f"{other} of another project consumes queue {queue} of the same broker as {program}: each runs tasks of the "
        "other, and discards those that its app does not have"
    )


def shared(queues: set[str], brokers: Any, other: Mapping[str, Any]) -> set[str]:
    """Return which of `queues` the worker with the heartbeat `other` consumes on the same broker."""
    return queues & queues_of(other) if share_broker(brokers, other.get("brokers", ())) else set()


def other_workers(processes: Processes, launcher: Path, state: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the heartbeat of each worker among `processes` that the launcher of another project started.

    `launcher` and `state` are the launcher and the state directory of this project.
    """
    found = {each.pid: each for each in processes.values() if _is_of_another(each, launcher)}
    for process in found.values():
        # Pool processes have the command line of their parent.
        heartbeat = heartbeat_of(process.pid, state) if process.parent not in found else {}
        if heartbeat.get("kind") == "worker":
            yield heartbeat


def _is_of_another(process: Process, launcher: Path) -> bool:
    words = [word for word in process.argv[:3] if word.endswith(f"/{LAUNCHER}")]
    return bool(words) and words[0] != str(launcher) and "worker" in process.argv
