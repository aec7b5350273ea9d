"""Define the record of a task that was interrupted."""

from __future__ import annotations

from typing import NamedTuple

from procman.monitoring.task_outcome import Fate


class LostTask(NamedTuple):
    """A task that was running when its process ended."""

    program: str
    id: str
    name: str
    started: float
    """Seconds since the epoch."""
    acks_late: bool
    ended: str
    """What ended its process, such as `forced stop` or `killed by SIGKILL (cause unknown)`."""
    at: float | None
    """When, in seconds since the epoch; None: unknown."""
    fate: Fate
    is_cut: bool = False
    """The id is not exactly this."""
