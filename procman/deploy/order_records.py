"""Record what an administrator orders: in the event log, and a stop or restart also in the project's orders."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from procman.accounts import invoking_user
from procman.backends.base import Controller
from procman.errors import ProcmanError
from procman.host.process import boot_id, identity
from procman.install.safe_fs.tree import Tree
from procman.install.state.desired_states import DesiredState, remove_desired, write_desired
from procman.install.state.event_log import Event, RunningTasks, append_event, tasks_of
from procman.install.state.manifest import Manifest
from procman.install.state.orders import note_order
from procman.model import InstalledProgram
from procman.monitoring.draining import Draining, draining_by_program
from procman.monitoring.program_view import now, read_heartbeat

NONE: RunningTasks = {"tasks": (), "task_ids": ()}


def running_tasks(
    manifest: Manifest, controller: Controller, programs: Sequence[InstalledProgram]
) -> dict[str, RunningTasks]:
    """Return the tasks that each of `programs` is running, by name, without those that have no process."""
    moment = now()
    pairs = zip(programs, controller.states(programs), strict=True)
    found = {
        program.name: tasks_of(read_heartbeat(manifest, program, state, moment).content or {})
        for program, state in pairs
        if state.pid is not None
    }
    for program, draining in draining_by_program(manifest, controller, programs):
        found[program.name] = _with(found.get(program.name, NONE), draining)
    return found


def _with(running: RunningTasks, draining: Draining) -> RunningTasks:
    names, ids = [task.name for task in draining.tasks], [task.id for task in draining.tasks]
    known = running["task_ids"] or ("",) * len(running["tasks"])
    return {"tasks": (*running["tasks"], *names), "task_ids": (*known, *ids)}


def log_events(manifest: Manifest, events: Sequence[Event]) -> None:
    """Append `events`; a log that cannot be written, as on a full disk, prevents no order."""
    with suppress(ProcmanError), Tree() as tree:
        for event in events:
            append_event(tree, manifest.directories.state, event)


def ordered(
    program: str,
    what: str,
    *,
    reason: str = "",
    action: str = "",
    tasks: RunningTasks | None = None,
    at: float | None = None,
) -> Event:
    """Return the event of an order that the present user gives, now or `at` that time.

    An empty `program` is the whole project.
    """
    moment, person = time.time() if at is None else at, invoking_user(os.environ)
    return Event(moment, program, what, reason=reason, action=action, by=person, **(tasks or NONE))


def remember(manifest: Manifest, programs: Sequence[InstalledProgram], *, desired: bool) -> None:
    """Record the order to stop `programs`, or to restart them if they are `desired`, before it is carried out."""
    person, process = invoking_user(os.environ), identity(os.getpid())
    with suppress(ProcmanError), Tree() as tree:
        for program in programs:
            order = DesiredState(program.name, desired, person, time.time(), boot_id(), process)
            write_desired(tree, manifest.directories.state, order, manifest.directory_mode)


def forget(manifest: Manifest, programs: Sequence[InstalledProgram]) -> None:
    """Forget the orders about `programs`, which are started now."""
    with suppress(ProcmanError), Tree() as tree:
        for program in programs:
            remove_desired(tree, manifest.directories.state, program.name)


@contextmanager
def restart_recorded(manifest: Manifest, controller: Controller, program: InstalledProgram) -> Iterator[None]:
    """Record the restart of `program` in the body; until that ends, the program should run, also if it is stopped."""
    tasks = running_tasks(manifest, controller, [program])
    remember(manifest, [program], desired=True)
    note_order(manifest, [program])
    yield
    forget(manifest, [program])
    log_events(manifest, [ordered(program.name, "restarted", tasks=tasks.get(program.name))])
