"""When the watcher has checked the programs last: it writes no heartbeat, but its record at every check."""

from typing import NamedTuple, Optional

from . import files

KIND = "health"
"""The kind of the watcher in the manifest."""

RECORD = "healing.json"

LATE_SECONDS = 120
"""How much later than due a check may be, besides one interval: it ends after 30 seconds, its commands after 60."""


class LastCheck(NamedTuple):
    """The last check of all programs."""

    at: Optional[float] = None
    """Seconds since the epoch; None if it is unknown."""
    problem: str = ""
    """Why it is unknown."""


def last_check(project):
    """Return when the watcher of `project` has checked it last."""
    try:
        found = files.look_at(project.place, (project.name, RECORD), 1)
    except files.Unreadable as error:
        return LastCheck(problem=str(error))
    return LastCheck(problem="it has not checked anything yet") if found is None else LastCheck(found.changed)


def is_late(project, seconds):
    """Return whether the watcher would have checked again within the last `seconds`, if it ran."""
    return seconds > 2 * project.interval_seconds + LATE_SECONDS
