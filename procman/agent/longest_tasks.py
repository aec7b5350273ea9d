"""Remember how long the longest run of a task took, apart for tasks that are acknowledged late."""

from typing import Any, Dict, Iterable, Mapping, NamedTuple, Tuple

from .task_kind import Kind


class Longest(NamedTuple):
    """A task that has taken longer than any other."""

    seconds: float
    name: str


class LongestTasks:
    """The tasks of this process that have taken the longest."""

    def __init__(self) -> None:
        self._longest: Dict[bool, Longest] = {}

    def note(self, runs: Iterable[Tuple[Kind, float]]) -> None:
        """Note how many seconds runs of tasks have taken."""
        for kind, seconds in runs:
            longest = self._longest.get(kind.acks_late)
            if seconds > (longest.seconds if longest else 0):
                self._longest[kind.acks_late] = Longest(seconds, kind.name)

    def fields(self) -> Mapping[str, Any]:
        """Return the fields of a heartbeat about them."""
        late = self._longest.get(True)
        both = [each for each in (late, self._longest.get(False)) if each]
        longest = max(both) if both else None
        return {
            "longest_task": longest and longest.name,
            "longest_task_seconds": longest and longest.seconds,
            "longest_late_task": late and late.name,
            "longest_late_task_seconds": late and late.seconds,
        }
