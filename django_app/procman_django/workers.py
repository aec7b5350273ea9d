"""Ask the workers, by Celery's remote control, what they run, hold and consume."""

from time import monotonic
from typing import Any, Dict, List, NamedTuple, Optional

from . import celery_app
from .values import count, items, number, printable, text

MOST_NODES = 100
MOST_TASKS = 100
LONGEST_ARGUMENTS = 200

QUESTIONS = ("active", "reserved", "scheduled", "stats", "active_queues", "registered")
QUESTIONS_SECONDS = 3
"""After this long, no further question is begun."""

ANSWER_SECONDS = 2.5
"""How long one worker may take to answer; with a directory or a database as the broker, it looks once a second."""

TERMINATES = ("prefork", "gevent", "eventlet")
"""The pools that can end a running task."""

REPORTS_ITS_SIZE = (5, 7)
"""The first Celery whose pool gevent reports the size that it was grown or shrunk to."""


class RemoteTask(NamedTuple):
    """A task that a worker runs or holds."""

    id: str
    name: str
    arguments: str
    started: Optional[float]
    """Seconds since the epoch."""
    eta: str


class Worker(NamedTuple):
    """What one node answered."""

    node: str
    pool: str
    processes: Optional[int]
    prefetched: Optional[int]
    active: List[RemoteTask]
    reserved: List[RemoteTask]
    scheduled: List[RemoteTask]
    queues: List[str]
    registered: List[str]
    is_silent: bool = False
    """Whether it left a question unanswered, so that the rest is unknown."""
    shares_pipe: bool = False
    """Whether the processes of its pool read tasks from one pipe: with a broker that is a directory or a database."""

    @property
    def can_terminate(self):
        """Whether its pool can end a running task."""
        return self.pool in TERMINATES

    @property
    def most_fewer(self):
        """By how many processes its pool can be shrunk so that one is left; 0 if that is unknown."""
        # The process that is ended may be the one that waits at the pipe, and then no other can ever read from it.
        if self.is_silent or self.processes is None or self.shares_pipe:
            return 0
        if self.pool == "prefork":
            # Celery ends idle ones only; asked for more, it ends all of them and fails.
            return max(0, min(self.processes - 1, self.processes - len(self.active)))
        reports = self.pool == "eventlet" or (self.pool == "gevent" and _version() >= REPORTS_ITS_SIZE)
        return max(0, self.processes - 1) if reports else 0


def ask_workers():
    """Return the workers that answer, by name. Raises NoAnswer."""
    return celery_app.ask(_ask)


def ask_worker(node, with_pool=False) -> Optional[Worker]:
    """Return the worker `node` if it answers, else None; `with_pool`: with its pool and its running tasks.

    Raises NoAnswer.
    """
    commands = ("stats", "active") if with_pool else ("ping",)

    def query(connection):
        answers = dict.fromkeys(QUESTIONS, ())
        for command in commands:
            found = celery_app.broadcast(connection, command, nodes=[node], timeout=ANSWER_SECONDS)
            if node not in found:
                return None
            answers[command] = found[node]
        return _worker(node, answers)

    return celery_app.ask(query)


def _ask(connection) -> List[Worker]:
    nodes = sorted(celery_app.broadcast(connection, "ping"))[:MOST_NODES]
    if not nodes:
        return []
    answers: Dict[str, Dict[str, Any]] = {command: {} for command in QUESTIONS}
    talking, ends = nodes, monotonic() + QUESTIONS_SECONDS
    for command in QUESTIONS:
        # One that has become silent, such as a solo worker with a new task, would use up the time of all others.
        if talking and monotonic() < ends:
            answers[command] = celery_app.broadcast(connection, command, nodes=talking)
        talking = [node for node in talking if node in answers[command]]
    return [_worker(node, {command: found.get(node) for command, found in answers.items()}) for node in nodes]


def _worker(node, answers):
    stats = answers["stats"] if isinstance(answers["stats"], dict) else {}
    pool = stats.get("pool")
    registered = answers["registered"] if isinstance(answers["registered"], list) else []
    return Worker(
        node=printable(node),
        pool=_pool(pool),
        processes=_processes(pool),
        prefetched=count(stats, "prefetch_count"),
        active=_tasks(answers["active"]),
        reserved=_tasks(answers["reserved"]),
        scheduled=_tasks(answers["scheduled"], of_schedule=True),
        queues=[name for name in (text(each, "name") for each in _list(answers["active_queues"])) if name],
        registered=sorted(printable(each).partition(" [")[0] for each in registered[:1000] if isinstance(each, str)),
        is_silent=None in answers.values(),
        shares_pipe=_pool(pool) == "prefork" and not isinstance(pool.get("writes"), dict),
    )


def _pool(found):
    """Return the name of a pool; Celery before 5.2 sends none, but only prefork sends the pids of its processes."""
    implementation = text(found, "implementation")
    if implementation is None:
        return "prefork" if isinstance(found, dict) and found.get("processes") else ""
    name = implementation.partition(":")[0].rpartition(".")[2]
    return {"thread": "threads"}.get(name, name)


def _processes(pool):
    """Return the size of a pool; prefork reports as its concurrency what it was started with, whatever its size is."""
    found = pool.get("processes") if isinstance(pool, dict) else None
    return len(found) if isinstance(found, list) else count(pool, "max-concurrency")


def _version():
    import celery

    return tuple(int(each) for each in celery.__version__.split(".")[:2])


def _tasks(found, of_schedule=False):
    tasks = []
    for each in _list(found):
        request = each.get("request") if of_schedule else each
        identity = text(request, "id")
        if identity:
            eta = text(each, "eta") or "" if of_schedule else ""
            name = text(request, "name") or "?"
            tasks.append(RemoteTask(identity, name, _arguments(request), number(request, "time_start"), eta))
    return tasks


def _arguments(request):
    # Celery 4 sends their text, Celery 5 the values.
    try:
        shown = [each if isinstance(each, str) else repr(each) for each in (request.get("args"), request.get("kwargs"))]
    except (RecursionError, ValueError):
        # Nested too deeply, or a number of thousands of digits: of one task, which must not hide all others.
        return "?"
    return printable(" ".join(each for each in shown if each not in ("None", "{}", "[]", "()")))[:LONGEST_ARGUMENTS]


def _list(found):
    return items({"list": found}, "list")[:MOST_TASKS]
