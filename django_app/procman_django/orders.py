"""The orders of the page to workers: what a user may ask for, what it costs, and how it is sent."""

import re
from typing import Any, Callable, Dict, Mapping, NamedTuple, Tuple

from . import celery_app, workers
from .values import printable

LONGEST = 250
RATE = re.compile(r"[0-9]{1,6}(/[smh])?")
NUMBER = re.compile(r"[0-9]{1,3}")
MOST_PROCESSES = 10
MOST_REPLIES = 10

UNKNOWN_TASK = "terminate: tasks unknown"
"""What a worker answers that does not run the task."""

_CANCELLED = (
    "Procman restarts a worker without its consumers, which then consumes again: to prevent that, type procman hold "
    "and the name of its program."
)


class Refused(Exception):
    """An order that is not sent, with the reason."""


class Order(NamedTuple):
    """An order with its target, ready to be sent."""

    name: str
    node: str
    """The worker, or empty for all workers."""
    command: str
    arguments: Mapping[str, Any]
    text: str
    """The order and its target, for the log."""
    loss: Tuple[str, ...]
    """What it costs; if there is anything, the user must confirm it."""
    note: str = ""
    """What a user could expect of it in vain, shown with the answer."""


def read_order(posted, queues) -> Order:
    """Return the order in the fields of a form. Raises Refused.

    `queues` are the names of the queues that workers may consume from.
    """
    name = posted.get("order", "")
    read = _READERS.get(name)
    if read is None:
        raise Refused("There is no such order.")
    return read(name, posted, queues)


def check(order):
    """Refuse an order that its worker should not get as it is now, before it is sent. Raises Refused, NoAnswer."""
    if not order.node:
        return
    shrinks = order.command == "pool_shrink"
    worker = workers.ask_worker(order.node, with_pool=shrinks)
    if worker is None:
        # Some brokers keep the message for the next worker with this name.
        raise Refused(
            "Nothing was sent: %s does not answer, and could carry out the order long after. The page of the programs "
            "shows whether it runs; a worker of the pool solo answers only between two tasks." % printable(order.node)
        )
    if shrinks and order.arguments["n"] > worker.most_fewer:
        raise Refused("Nothing was sent: %s" % _why_not_shrunk(worker))


def _why_not_shrunk(worker):
    pool = "the pool of %s" % worker.node
    if worker.most_fewer:
        limit = (
            "can be shrunk by at most %d: one process has to remain, and running tasks keep theirs" % worker.most_fewer
        )
        return "%s has %d processes and %s." % (pool, worker.processes, limit)
    if worker.shares_pipe:
        return (
            "%s cannot be shrunk: with its broker the processes share one pipe, and to end one may block the others "
            "for ever. To run fewer, set concurrency in procman.toml and type procman install." % pool
        )
    if worker.pool == "prefork" and worker.processes:
        counts = (pool, worker.processes, len(worker.active))
        return "%s cannot be shrunk: of its %d processes one has to remain, and %d run a task." % counts
    return "%s cannot be shrunk, or does not report its size." % pool


def send(order):
    """Send `order`, and return the replies by worker. Raises NoAnswer."""
    nodes = [order.node] if order.node else None
    return celery_app.ask(lambda connection: celery_app.broadcast(connection, order.command, order.arguments, nodes))


def described(order, replies):
    """Return the replies to `order` as a text."""
    if not replies and order.command == "shutdown":
        return (
            "the broker has the order, but the worker has not answered, as most do not before they exit; the page of "
            "the programs shows whether it stops"
        )
    if not replies:
        return "no worker answered; one that is busy may still carry it out"
    shown = ["%s: %s" % (printable(node), _answer(replies[node])) for node in sorted(replies)[:MOST_REPLIES]]
    more = ["and %d more" % (len(replies) - MOST_REPLIES)] if len(replies) > MOST_REPLIES else []
    return "; ".join(shown + more)


def unanswered(error):
    """Return what is known of an order whose sending ended with `error`."""
    if isinstance(error, celery_app.NotAsked):
        return "it was not sent: %s" % error
    return "the broker did not answer: %s; it may still be carried out" % error


def is_confirmed(replies):
    """Return whether a worker has answered, and none that it failed."""
    failed = any(isinstance(reply, dict) and _has_failed(reply) for reply in replies.values())
    return bool(replies) and not failed


def _has_failed(reply):
    # Celery reports the order to terminate an unknown task as carried out.
    return "error" in reply or reply.get("ok") == UNKNOWN_TASK


def _answer(reply):
    if isinstance(reply, dict):
        reply = reply.get("ok") or reply.get("error") or reply
    try:
        return "done" if reply is None else printable(str(reply)[:200])
    except RecursionError:
        return "an answer that is nested too deeply"


def _field(posted, name, what):
    value = posted.get(name, "")
    if not value or len(value) > LONGEST or not value.isprintable():
        raise Refused("The form names no %s." % what)
    return value


def _node(posted):
    return _field(posted, "node", "worker")


def _revoke(name, posted, _):
    task = _field(posted, "task_id", "task")
    note = "If it is already running, it continues: only Terminate ends it."
    return Order(name, "", "revoke", {"task_id": task}, "revoke task %s" % task, (), note)


def _terminate(name, posted, _):
    task, node = _field(posted, "task_id", "task"), _node(posted)
    arguments = {"task_id": task, "terminate": True, "signal": "SIGTERM"}
    loss = (
        "The process that runs the task gets SIGTERM at once: the task cannot finish or clean up, and has no result.",
        "The task is not run again. Files and database rows that it has written so far stay as they are.",
        "If the task has just ended, its process may already run another one, which is then lost in its place.",
    )
    return Order(name, node, "revoke", arguments, "terminate task %s on %s" % (task, node), loss)


def _shutdown(name, posted, _):
    node = _node(posted)
    loss = (
        "The worker takes no more messages, finishes its running tasks and exits. Its process manager starts it again.",
        "Until it has started again, messages wait in the queues that only this worker consumes.",
        "A task that takes longer than the stop timeout of the program may be cut then, by the watcher of procman.",
    )
    return Order(name, node, "shutdown", {}, "shut down %s" % node, loss)


def _consumer(name, posted, queues):
    queue, node = _field(posted, "queue", "queue"), _node(posted)
    # Celery would create any other queue in the broker.
    if queue not in queues:
        raise Refused("The project has no queue %s." % queue)
    verb = {"add_consumer": "add a consumer of", "cancel_consumer": "cancel the consumer of"}[name]
    text = "%s queue %s on %s" % (verb, queue, node)
    return Order(name, node, name, {"queue": queue}, text, (), _CANCELLED if name == "cancel_consumer" else "")


def _pool(name, posted, _):
    node, number = _node(posted), posted.get("number", "1")
    if not NUMBER.fullmatch(number) or not 1 <= int(number) <= MOST_PROCESSES:
        raise Refused("The pool can change by 1 to %d processes at a time." % MOST_PROCESSES)
    verb = {"pool_grow": "grow", "pool_shrink": "shrink"}[name]
    return Order(name, node, name, {"n": int(number)}, "%s the pool of %s by %s" % (verb, node, number), ())


def _rate_limit(name, posted, _):
    task, node, rate = _field(posted, "task_name", "task"), _node(posted), posted.get("rate", "").strip()
    if not RATE.fullmatch(rate):
        raise Refused("A rate limit is a number, or one such as 10/s, 10/m or 10/h; 0 means no limit.")
    text = "limit the rate of task %s to %s on %s" % (task, rate, node)
    return Order(name, node, name, {"task_name": task, "rate_limit": rate}, text, ())


_READERS: Dict[str, Callable[..., Order]] = {
    "revoke": _revoke,
    "terminate": _terminate,
    "shutdown": _shutdown,
    "add_consumer": _consumer,
    "cancel_consumer": _consumer,
    "pool_grow": _pool,
    "pool_shrink": _pool,
    "rate_limit": _rate_limit,
}
