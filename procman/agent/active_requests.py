"""Follow the requests that Celery keeps while their tasks run, and when their messages are acknowledged: 4.4 to 5.7."""

from typing import Any, List

from .task_record_layout import ON_ITS_WAY, PENDING_AT
from .task_recorder import TaskRecorder


def note_acknowledgement(message: Any) -> None:
    """Record that the broker knows that `message` is acknowledged.

    Celery acknowledges a message early to itself at first, and to the broker when its event loop turns: in the solo
    pool after the task, in the threads pool up to a second later.
    """
    try:
        run = message.procman_run
        if run.message is message:
            run.state[PENDING_AT] = 0
    except Exception:  # noqa: S110  # most messages are of no running task
        pass


def follow_acknowledgements(messages: Any) -> None:
    """Record when a message of the class `messages`, kombu's, is acknowledged."""
    acknowledge, messages.procman_run = messages.ack, None

    # Each task takes this way, so it makes few calls.
    def acknowledge_and_record(self: Any, multiple: bool = False) -> Any:
        run = self.procman_run
        if run is None:
            return acknowledge(self, multiple)
        try:
            if run.message is self:
                run.state[PENDING_AT] = ON_ITS_WAY
        except OSError:  # only of a file that is not mapped
            pass
        result = acknowledge(self, multiple)
        try:
            if run.message is self:
                run.state[PENDING_AT] = 0
        except OSError:
            pass
        return result

    messages.ack = acknowledge_and_record


def follow(state: Any, recorder: TaskRecorder) -> None:
    """Record the active requests of `state`, the module `celery.worker.state`, from now on. Raises LookupError.

    Celery adds a request to them before it acknowledges the message, and removes it when it knows the end of the task,
    in every version and pool, and whichever class of requests or strategy a task has. The functions that do so have the
    methods of the set as defaults of their parameters, and other modules have these functions.
    """
    add, discard = state.active_requests.add, state.active_requests.discard
    adding, discarding = _with_default(state, add), _with_default(state, discard)
    if not adding or not discarding:
        raise LookupError("active_requests")
    recorder.add, recorder.discard = add, discard
    _replace_default(adding, add, recorder.enter)
    _replace_default(discarding, discard, recorder.leave)


def _with_default(module: Any, method: Any) -> List[Any]:
    """Return the functions of `module` that have a bound method among their defaults."""
    functions = vars(module).values()
    return [
        each for each in functions if any(_are_same(one, method) for one in getattr(each, "__defaults__", None) or ())
    ]


def _replace_default(functions: List[Any], method: Any, replacement: Any) -> None:
    for each in functions:
        each.__defaults__ = tuple(replacement if _are_same(one, method) else one for one in each.__defaults__)


def _are_same(one: Any, method: Any) -> bool:
    # Before Python 3.8, == compares the objects of two methods, and sets are equal while they are empty.
    return getattr(one, "__self__", None) is method.__self__ and one.__name__ == method.__name__


def members(requests: Any) -> List[Any]:
    """Return the members of one of Celery's WeakSets, for another thread than the one that changes it."""
    # It keeps its references in a set, which list() copies atomically.
    found = (reference() for reference in list(requests.data))
    return [member for member in found if member is not None]
