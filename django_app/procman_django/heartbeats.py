"""Read the heartbeat of a program: `procman explain heartbeat` describes its fields."""

from typing import Any, Mapping, NamedTuple, Optional

from . import files, processes
from .values import number

FILE = "heartbeat.json"
MOST_BYTES = 65536
FORMAT = 1

SAME_MOMENT_SECONDS = 10
"""A sandbox can hide the id of the boot, and in a container of systemd it has another one. A heartbeat is of this boot,
too, if the clock that starts at the boot and the time of its file agree on its age."""


class Heartbeat(NamedTuple):
    """A heartbeat, if there is one, and whether the process that wrote it still exists."""

    fields: Optional[Mapping[str, Any]] = None
    problem: str = ""
    """Why there is a file, but no heartbeat."""
    age: Optional[float] = None
    """Seconds since it was written; None if that was before this boot, or cannot be known."""
    lives: Optional[bool] = None
    """Whether the process that wrote it still exists; None if that cannot be known."""

    def monotonic(self, name):
        """Return how many seconds ago the monotonic time in the field `name` was; negative if it is to come."""
        value, written = number(self.fields, name), number(self.fields, "written")
        return None if None in (value, written, self.age) else written - value + self.age


def read_heartbeat(project, program, now, wall, boot):
    """Return the heartbeat of `program`; `now` is of the monotonic clock, `wall` seconds since the epoch."""
    if not program.has_heartbeat:
        return Heartbeat()
    try:
        found = files.look_at(project.place, (project.name, "run", program.name, FILE), MOST_BYTES + 1)
        fields = None if found is None else files.parse(found.content, MOST_BYTES)
    except files.Unreadable as error:
        return Heartbeat(problem=str(error))
    except ValueError as error:
        return Heartbeat(problem="its heartbeat is corrupt: %s" % error)
    if found is None:
        return Heartbeat()
    if not isinstance(fields, dict) or number(fields, "format") != FORMAT:
        return Heartbeat(problem="its heartbeat has a format that this app does not read")
    written, pid = number(fields, "written"), number(fields, "pid")
    if written is None:
        return Heartbeat(fields)
    age = now - written
    if fields.get("boot_id") != boot and abs(wall - found.changed - age) > SAME_MOMENT_SECONDS:
        return Heartbeat(fields)
    if age < -60:
        return Heartbeat(fields, "its heartbeat is dated in the future")
    # 2**22 is the largest pid that Linux gives.
    is_pid = isinstance(pid, int) and 1 < pid < 2**22
    lives = processes.is_the_writer(pid, found.owner, wall - max(0.0, age)) if is_pid else None
    return Heartbeat(fields, age=max(0.0, age), lives=lives)
