"""Hand back what a stopping worker cannot finish in time: the interface; what it does is still to come."""

from typing import Any, Callable

from .settings import HealthSettings
from .task_recorder import TaskRecorder
from .worker_state import WorkerState


class Handback:
    """The last step of a stop before the process manager kills the worker."""

    def __init__(
        self, settings: HealthSettings, observed: WorkerState, recorder: TaskRecorder, report: Callable[[str], None]
    ) -> None:
        self._settings, self._observed, self._recorder, self._report = settings, observed, recorder, report

    def is_due(self) -> bool:
        """Return whether the stop timeout is about to end."""
        return False

    def from_main_thread(self, worker: Any) -> None:
        """Hand back the messages of the running tasks; the main thread calls it between two rounds of the loop."""

    def look(self) -> None:
        """Hand back from outside if that is overdue and the main thread has not begun; the writer thread calls it."""
