"""List every check of running programs, in the order of the codes; docs/checks.md explains each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Generic, TypeVar

from procman.agent.verdict import CODES
from procman.model import Result
from procman.monitoring.checks import (
    adopted_programs,
    beat_schedule,
    broker,
    broker_states,
    draining_processes,
    ends,
    files,
    heartbeat,
    held_messages,
    keeper,
    main_process,
    missed_entries,
    orphans,
    pool,
    process_manager,
    process_state,
    redelivery,
    resources,
    second_beats,
    second_workers,
    shared_queues,
    waiting,
)
from procman.monitoring.checks.inputs import ProjectSnapshot

Subject = TypeVar("Subject")
"""The input of a check: a `ProjectSnapshot`, or the facts gathered before an install."""


class Reach(Enum):
    """What a check of running programs judges, and so what its failure concerns."""

    PROGRAM = "program"
    """Each program, by its own files and processes."""
    HOST = "host"
    """Each program, by what all of them share: other processes of the host, and files that belong to the project."""
    PROJECT = "project"
    """The project as a whole."""


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """A check, its code and its title."""

    code: str
    """Never changes: monitoring, the event log and the documentation use it."""
    title: str
    """A fact that holds when the check passes."""
    function: Callable[[Subject], Iterable[Result]]
    """Yields a result for each program it concerns, or one for the project."""
    reach: Reach = Reach.PROGRAM
    comes_and_goes: bool = False
    """Whether a warning before an install may end although no one has changed the project or the host.

    It may if it depends on the time, on other programs, or on an answer of the process manager.
    """


def _of_heartbeat(hundred: str) -> Iterator[Check[ProjectSnapshot]]:
    for code, title in CODES.items():
        if code.startswith(hundred):
            yield Check(code, title, partial(heartbeat.check_verdict, code))


RUNNING: tuple[Check[ProjectSnapshot], ...] = (
    Check("PM101", "The program is running", process_state.check),
    Check("PM102", "The main process belongs to the program", main_process.check_identity),
    Check("PM103", "The program does not restart again and again", main_process.check_restarts),
    Check("PM104", "The pool has all its processes", pool.check_children),
    Check("PM105", "Pool processes survive their start", pool.check_kill_loop),
    Check("PM106", "Processes that ended are reaped", pool.check_zombies),
    Check("PM107", "Memory use is below the limit", resources.check_memory),
    Check("PM108", "Open files are below the limit", resources.check_open_files),
    Check("PM109", "No process of an earlier run is left", orphans.check_orphans, Reach.HOST),
    Check("PM110", "Only one beat sends the app's tasks", second_beats.check, Reach.HOST),
    Check("PM111", "The main process has not ended by itself", ends.check_main_process),
    Check("PM112", "No pool process has ended by itself", ends.check_pool_processes),
    Check("PM113", "The process manager is running", process_manager.check, Reach.PROJECT),
    Check("PM114", "Each worker has a node name of its own", second_workers.check, Reach.HOST),
    Check("PM115", "No program that was adopted runs again", adopted_programs.check, Reach.HOST),
    Check("PM116", "The keeper of a worker that overlaps responds", keeper.check),
    Check("PM117", "Each process that drains responds", draining_processes.check),
    *_of_heartbeat("PM2"),
    Check("PM205", "The heartbeat can be read", heartbeat.check_readable),
    Check("PM206", "The heartbeat can be written", heartbeat.check_written),
    *_of_heartbeat("PM3"),
    Check("PM304", "The broker reports a consumer for each queue", broker.check_queues, Reach.PROJECT),
    *_of_heartbeat("PM4"),
    Check("PM403", "Beat can write its schedule", beat_schedule.check),
    Check("PM404", "Beat sends what was due while it was down", missed_entries.check),
    Check("PM501", "The broker can be reached", broker.check_reachable, Reach.PROJECT),
    Check("PM502", "The broker accepts the credentials", broker.check_credentials, Reach.PROJECT),
    Check(
        "PM503",
        "A remote broker does not use RabbitMQ's default account",
        broker.check_default_credentials,
        Reach.PROJECT,
    ),
    Check("PM504", "RabbitMQ reports no alarm", broker.check_alarms, Reach.PROJECT),
    Check("PM505", "Each queue with messages has a consumer", waiting.check_unconsumed, Reach.PROJECT),
    Check("PM506", "Messages that wait are taken", waiting.check_untaken, Reach.PROJECT),
    Check("PM507", "Restarts do not use up a delivery limit", broker_states.check_delivery_limits, Reach.PROJECT),
    Check("PM508", "Tasks with an ETA leave room for others", held_messages.check_scheduled),
    Check("PM509", "Redis accepts the commands of a worker", broker_states.check_redis, Reach.PROJECT),
    Check("PM510", "Each queue has the arguments that the app declares", broker_states.check_arguments, Reach.PROJECT),
    Check("PM511", "The broker waits for the longest task", redelivery.check),
    Check("PM512", "No worker hoards messages while another is idle", held_messages.check_hoarding, Reach.HOST),
    Check("PM513", "No other project consumes the same queue", shared_queues.check, Reach.PROJECT),
    Check("PM514", "Messages that a queue gives up are kept", broker_states.check_dead_letters, Reach.PROJECT),
    Check("PM515", "RabbitMQ permits what this Celery needs", broker_states.check_features, Reach.PROJECT),
    Check("PM601", "The installed files are unchanged and up to date", files.check_in_sync, Reach.PROJECT),
    Check("PM602", "No program needs a restart", files.check_restart_due, Reach.HOST),
    Check("PM603", "The disks have enough free space", files.check_space, Reach.PROJECT),
)

TITLES = {check.code: check.title for check in RUNNING}
"""The title of each check by its code."""


def run(checks: Iterable[Check[Subject]], subject: Subject) -> list[Result]:
    """Return the results of all `checks`, in their order."""
    return [result for check in checks for result in check.function(subject)]
