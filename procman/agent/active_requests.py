"""Follow the requests that Celery keeps while their tasks run, and when their messages are acknowledged: 4.4 to 5.7."""

from typing import Any, List

from . import task_record_layout as layout
from .task_recorder import TaskRecorder


class RunningReferences(set):  # type: ignore[type-arg]
    """The set inside the WeakSet in which Celery keeps its active requests, with a recorder that follows it.

    Celery adds a request there before it acknowledges the message, and removes it when it knows the end of the task, in
    every version and pool, and whichever class of requests or strategy a task has. Its functions have taken the methods
    of the WeakSet as defaults, so only the set inside can be replaced.
    """

    def __init__(self, references: Any, recorder: TaskRecorder) -> None:
        super().__init__(references)
        self._enter, self._leave = recorder.enter, recorder.leave

    def add(self, reference: Any) -> None:
        set.add(self, reference)
        self._enter(reference)

    def discard(self, reference: Any) -> None:
        self._leave(reference)
        set.discard(self, reference)

    def remove(self, reference: Any) -> None:
        self._leave(reference)
        super().remove(reference)

    def clear(self) -> None:
        for reference in list(self):
            self._leave(reference)
        super().clear()


def note_acknowledgement(message: Any) -> None:
    """Record that the broker knows that `message` is acknowledged.

    Celery acknowledges a message early to itself at first, and to the broker when its event loop turns: in the solo
    pool after the task, in the threads pool up to a second later.
    """
    try:
        file, running, reference, place = message.procman_task
        if reference in running:
            file[place] = 0
    except Exception:  # noqa: S110  # most messages are of no running task
        pass


def follow_acknowledgements(messages: Any) -> None:
    """Record when a message of the class `messages`, kombu's, is acknowledged."""
    acknowledge = messages.ack

    # Each task takes this way, so it makes few calls.
    def acknowledge_and_record(self: Any, multiple: bool = False) -> Any:
        noted = getattr(self, "procman_task", None)
        if noted is None:
            return acknowledge(self, multiple)
        file, running, reference, place = noted
        try:
            if reference in running:
                file[place] = layout.ON_ITS_WAY
        except OSError:  # only of a file that is not mapped
            pass
        result = acknowledge(self, multiple)
        try:
            if reference in running:
                file[place] = 0
        except OSError:
            pass
        return result

    messages.ack = acknowledge_and_record


def follow(active_requests: Any, recorder: TaskRecorder) -> None:
    """Record the requests in `active_requests`, Celery's WeakSet, from now on."""
    active_requests.data = RunningReferences(active_requests.data, recorder)


def members(requests: Any) -> List[Any]:
    """Return the members of one of Celery's WeakSets, for another thread than the one that changes it."""
    # It keeps its references in a set, which list() copies atomically.
    found = (reference() for reference in list(requests.data))
    return [member for member in found if member is not None]
