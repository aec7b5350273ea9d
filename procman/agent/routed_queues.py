"""List the queues that an app sends its tasks to, as far as its configuration shows them.

The probes of procman run this text in the app's Python, before that of their own scripts.
"""

from typing import Any, Iterator, Mapping, Set, Tuple


def routed_queues(app: Any) -> Set[str]:
    """Return the queues that tasks are sent to, by their routes, their own option or the beat schedule."""
    candidates = [options.get("queue") for options in _route_options(app.conf.task_routes)]
    candidates += [getattr(task, "queue", None) for task in app.tasks.values()]
    candidates += [(entry.get("options") or {}).get("queue") for _, entry in beat_entries(app)]
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


def beat_entries(app: Any) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    """Yield the name and the options of each entry of the beat schedule."""
    for name, entry in (app.conf.beat_schedule or {}).items():
        yield str(name), entry if isinstance(entry, Mapping) else vars(entry)
