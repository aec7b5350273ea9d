"""The events of a handback: what was returned while it ran, and what the end of the worker may cut."""

from typing import Any, Dict, Iterator, List, NamedTuple

from .worker_state import printable

HANDED_BACK, CUT = "handed-back", "cut"
"""Events: tasks whose messages were returned while they ran, and tasks that the end of the worker may cut."""
HANDING_BACK, NOT_RETURNED = "handing-back", "not-returned"
"""Events: tasks that were ended and whose messages are about to be returned, and those for which that failed."""
MOST_TASKS = 20
"""As many tasks of an event are read."""


class Running(NamedTuple):
    """The running tasks, as Celery's requests."""

    late: List[Any]
    early: List[Any]


def events(running: Running, returned: int = 0, *, is_last: bool) -> Iterator[Dict[str, Any]]:
    """Yield the arguments of each event; one names as many tasks as are read."""
    if running.late:
        number = counted(len(running.late), "task")
        yield from about(HANDED_BACK, f"ended {number} that could not finish in time, to run again", running.late)
    if returned:
        number = counted(returned, "message")
        yield from about(HANDED_BACK, f"returned {number} of tasks that had not started", [])
    if running.early:
        fate = "ended with those" if is_last else "killed unless finished within the stop timeout"
        number = counted(len(running.early), "task")
        yield from about(CUT, f"{number} acknowledged at the start, {fate}", running.early)


def before_return(late: List[Any]) -> Iterator[Dict[str, Any]]:
    """Yield the arguments of events about tasks that have been ended, and whose messages are not returned yet."""
    if late:
        number = counted(len(late), "task")
        yield from about(HANDING_BACK, f"ended {number} that could not finish in time, to return", late)


def not_returned(late: List[Any], why: str, *, is_redis: bool) -> Iterator[Dict[str, Any]]:
    """Yield the arguments of events about ended tasks whose messages are not known to be returned, and `why`."""
    if late:
        number = counted(len(late), "task")
        rest = "Redis does so after its visibility timeout" if is_redis else "RabbitMQ does so when the connection ends"
        yield from about(NOT_RETURNED, f"could not return {number} ({why}); {rest}", late)


def about(what: str, reason: str, requests: List[Any]) -> Iterator[Dict[str, Any]]:
    """Yield the arguments of events about the tasks of `requests`, each with as many as are read."""
    for begin in range(0, max(1, len(requests)), MOST_TASKS):
        part = requests[begin : begin + MOST_TASKS]
        ids = [printable(request.id) for request in part]
        yield {"what": what, "reason": reason, "tasks": [printable(each.name) for each in part], "task_ids": ids}


def named(request: Any) -> Dict[str, str]:
    """Return what the script needs to know of a task."""
    tag, task_id = str(request.message.delivery_tag), printable(request.id)
    return {"tag": tag, "id": task_id, "name": printable(request.name)}


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
