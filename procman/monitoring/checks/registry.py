"""Every check in one table, in the order of its code; docs/checks.md explains each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from procman.agent.verdict import CODES
from procman.model import Result
from procman.monitoring.checks import (
    beat_schedule,
    broker,
    files,
    heartbeat,
    main_process,
    orphans,
    pool,
    process_state,
    resources,
)
from procman.monitoring.checks.inputs import ProjectSnapshot

Subject = TypeVar("Subject")
"""What a check is given: `ProjectSnapshot`, or what is known before an install."""


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One thing that is looked at."""

    code: str
    """Stable: it is what monitoring, the event log and the documentation name it by."""
    title: str
    """What is so when all is well."""
    function: Callable[[Subject], Iterable[Result]]
    """Yields a result for each program it concerns, or one for the project."""


def _of_heartbeat(hundred: str) -> Iterator[Check[ProjectSnapshot]]:
    for code, title in CODES.items():
        if code.startswith(hundred):
            yield Check(code, title, partial(heartbeat.check_verdict, code))


RUNNING: tuple[Check[ProjectSnapshot], ...] = (
    Check("PM101", "the process manager has it running, and the process is there", process_state.check),
    Check("PM102", "its main process is the program's own", main_process.check_identity),
    Check("PM103", "it is not restarted again and again", main_process.check_restarts),
    Check("PM104", "the pool has its processes", pool.check_children),
    Check("PM105", "pool processes live", pool.check_kill_loop),
    Check("PM106", "processes that ended are cleared away", pool.check_zombies),
    Check("PM107", "its memory stays below the limit", resources.check_memory),
    Check("PM108", "its open files stay below the limit", resources.check_open_files),
    Check("PM109", "no process of an earlier run is left", orphans.check_orphans),
    Check("PM110", "one beat sends the tasks of the app", orphans.check_beats),
    *_of_heartbeat("PM2"),
    Check("PM205", "the heartbeat can be read", heartbeat.check_readable),
    Check("PM206", "the heartbeat can be written", heartbeat.check_written),
    *_of_heartbeat("PM3"),
    Check("PM304", "the broker has consumers for the queues", broker.check_queues),
    *_of_heartbeat("PM4"),
    Check("PM403", "beat can keep its schedule", beat_schedule.check),
    Check("PM501", "the broker can be reached", broker.check_reachable),
    Check("PM502", "the broker takes the credentials", broker.check_credentials),
    Check("PM503", "the broker's credentials are not RabbitMQ's default", broker.check_default_credentials),
    Check("PM504", "no alarm is raised in the broker", broker.check_alarms),
    Check("PM601", "the files are as they were installed", files.check_in_sync),
    Check("PM602", "no restart is due", files.check_restart_due),
    Check("PM603", "the disks have space", files.check_space),
)


def run(checks: Iterable[Check[Subject]], subject: Subject) -> list[Result]:
    """Return the results of all `checks`, in their order."""
    return [result for check in checks for result in check.function(subject)]
