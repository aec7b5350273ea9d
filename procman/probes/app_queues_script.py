"""List the queues that an app sends its tasks to, and its beat schedule.

procman puts this text before that of app_script.py.
"""

import importlib
from typing import Any, Dict, Iterator, List, Mapping, Optional, Set, Tuple


def routed_queues(app: Any) -> Set[str]:
    """Return the queues that tasks are sent to, by their routes, their own option or the beat schedule."""
    candidates = [options.get("queue") for options in _route_options(app.conf.task_routes)]
    candidates += [getattr(task, "queue", None) for task in app.tasks.values()]
    candidates += [(entry.get("options") or {}).get("queue") for _, entry in _beat_entries(app)]
    return {str(getattr(queue, "name", queue)) for queue in candidates if queue}


def _route_options(routes: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(routes, Mapping):
        for target in routes.values():
            if isinstance(target, Mapping):
                yield target
            elif isinstance(target, str):
                yield {"queue": target}
    elif isinstance(routes, (list, tuple)):
        for route in routes:
            # A pair of pattern and options, or a table of them; a router function cannot be evaluated here.
            is_pair = isinstance(route, (list, tuple)) and len(route) == 2
            for options in _route_options(dict([route]) if is_pair else route):
                yield options


def beat_schedule(app: Any) -> List[Dict[str, Optional[str]]]:
    """Return the entries of the beat schedule, in Celery's words."""
    to_schedule = importlib.import_module("celery.schedules").maybe_schedule
    return [
        {"name": name, "task": str(entry.get("task")), "schedule": str(to_schedule(entry.get("schedule"))).strip("<>")}
        for name, entry in _beat_entries(app)
    ]


def _beat_entries(app: Any) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    for name, entry in (app.conf.beat_schedule or {}).items():
        yield str(name), entry if isinstance(entry, Mapping) else vars(entry)
