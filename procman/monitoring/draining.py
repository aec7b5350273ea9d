"""Describe the earlier processes of workers that overlap: since when each drains, and which tasks it is running.

Modules that only such workers need are imported on use, because `status` must not wait for them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from procman.agent.verdict import format_duration
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram

if TYPE_CHECKING:
    from procman.backends.base import Controller
    from procman.monitoring.checks.inputs import KeptWorker, ProgramSnapshot


OUTLIVED = "outlived"
"""The state of a process that has outlived its keeper: it finishes its tasks, and no process manager knows of it."""


class DrainingTask(NamedTuple):
    """A task that a draining process is running."""

    id: str
    name: str
    seconds: float | None
    """For how long; None: unknown."""


class Draining(NamedTuple):
    """A process that drains, or is being stopped."""

    pid: int
    state: str
    seconds: float
    """For how long."""
    busy: int | None
    """How many tasks it is running; None: unknown."""
    tasks: tuple[DrainingTask, ...]
    """Some of them."""


def draining_of(snapshot: ProgramSnapshot) -> tuple[Draining, ...]:
    """Return the earlier processes of the program of `snapshot`, the earliest first."""
    return tuple(_draining(snapshot.program, each) for each in snapshot.draining)


def described(draining: Draining) -> str:
    """Return which process drains, since when, and what it is running."""
    tasks = ", ".join(
        f"{task.name} {task.id}" + ("" if task.seconds is None else f" ({format_duration(task.seconds)})")
        for task in draining.tasks
    )
    busy = "running tasks unknown" if draining.busy is None else f"running tasks: {draining.busy or 'none'}"
    running = tasks or busy
    duration = format_duration(draining.seconds)
    if draining.state == OUTLIVED:
        return f"process {draining.pid} has outlived its keeper, and has been draining for {duration}: {running}"
    return f"process {draining.pid} has been {draining.state} for {duration}: {running}"


def draining_by_program(
    manifest: Manifest, controller: Controller, programs: Sequence[InstalledProgram]
) -> Iterator[tuple[InstalledProgram, Draining]]:
    """Yield the earlier processes of those of `programs` that overlap."""
    overlapping = [program for program in programs if program.overlap_max]
    if not overlapping:
        return
    from procman.monitoring.kept import earlier_processes

    states = controller.states(overlapping)
    for program, state in zip(overlapping, states, strict=True):
        for worker in earlier_processes(manifest, program, state):
            yield program, _draining(program, worker)


def _draining(program: InstalledProgram, worker: KeptWorker) -> Draining:
    from procman.agent.heartbeat_format import FILE, MAX_BYTES, read
    from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
    from procman.monitoring.program_view import owners

    try:
        content = read_untrusted(worker.directory / FILE, owners(program.user), MAX_BYTES + 1)
        heartbeat = read(content.decode("utf-8")) if content else {}
    except (UntrustedFile, ValueError):
        heartbeat = {}
    if heartbeat and heartbeat["pid"] != worker.pid:
        heartbeat = {}
    now = time.monotonic()
    tasks = tuple(
        DrainingTask(str(each["id"]), each["name"], None if each["since"] is None else now - each["since"])
        for each in heartbeat.get("tasks", ())
    )
    # A process that has outlived its keeper was last described by itself.
    since = heartbeat.get("phase_since", worker.since) if worker.state == OUTLIVED else worker.since
    return Draining(worker.pid, worker.state, now - since, heartbeat.get("busy"), tasks)
