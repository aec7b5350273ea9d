"""Restore the messages that a stopping worker held on Redis; the worker becomes this script, or runs it as a child.

    VIRTUALENV/bin/python handback_script.py DESCRIPTOR

The order is JSON that can be read from the descriptor: the delivery tags, the events to record first, the tasks that
were ended for it, and until when that may take by the monotonic clock. The broker is that of the record which the
worker has left in its run directory. What became of the tasks is recorded when it is known.
Neither the app nor Celery is imported. The exit status is 0 if every message was restored.
"""

import importlib
import json
import os
import signal
import sys
import types
from time import monotonic, sleep
from typing import Any, Dict, List, Set

PACKAGE = "procman_agent"
ANSWER_SECONDS = 3
"""How long Redis may take to connect and to answer."""
LEAST_SECONDS = 0.5
"""How long it has at least."""
PAUSE_SECONDS = 0.3
"""How long after a failure it tries again."""
LATER = "; Redis returns the rest after its visibility timeout"


def close_inherited(kept: int) -> None:
    """Close what the worker's native libraries may have left open: a broker or database must see that it is gone."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # it was the directory itself


def read_order(descriptor: int) -> Dict[str, Any]:
    """Return the order."""
    with os.fdopen(descriptor, "rb") as file:
        return dict(json.loads(file.read().decode("ascii")))


class Account:
    """What is recorded of the tasks that were ended, once it is known what became of their messages."""

    def __init__(self, order: Dict[str, Any]) -> None:
        self._late = order.get("late", [])
        self._events, self._own_events = beside("handback_events"), beside("own_events")
        self._module = beside("settings")
        self._settings = self._module.HealthSettings(order["program"], "worker", order["run_directory"])
        self.restored: Set[str] = set()
        """The delivery tags of the messages that are certainly in their queue again."""
        self.problem = ""
        """Why the last attempt failed."""

    def report(self, message: str) -> None:
        """Write a line to the worker's log."""
        self._module.report(self._settings.program, message)

    def record(self, events: Any) -> None:
        """Record and report events."""
        for event in events:
            self.report(event["reason"])
            self._own_events.record(self._settings, self.report, **event)

    def conclude(self, why: str = "") -> None:
        """Record which tasks run again; and if `why` is given, that the others may not, and why."""
        tasks = [(each["tag"] in self.restored, types.SimpleNamespace(**each)) for each in self._late]
        back = self._events.Running([task for is_back, task in tasks if is_back], [])
        self.record(self._events.events(back, is_last=True))
        if why:
            self.report("cannot hand back its messages (%s)%s" % (why, LATER))
        rest = [task for is_back, task in tasks if not is_back]
        self.record(self._events.not_returned(rest, why or "the worker no longer held it", is_redis=True))


def end_at(moment: float, account: Account) -> None:
    """Exit at `moment` of the monotonic clock; no other signal ends this script before."""
    seconds = max(LEAST_SECONDS, moment - monotonic())

    def time_is_up(*_: Any) -> None:
        account.conclude(account.problem or "not within %.1f s: the broker or this host is too slow" % seconds)
        os._exit(1)

    signal.signal(signal.SIGALRM, time_is_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})


def restore(record: Dict[str, Any], tags: List[str], acknowledged: List[str], restored: Set[str]) -> None:
    """Restore the messages with these delivery tags, unless another process has settled one; acknowledge others.

    Each tag is added to `restored` once that is certain. It can be repeated: kombu restores a message only once.
    """
    options = dict(record["connection"], connect_timeout=ANSWER_SECONDS, heartbeat=0)
    limits = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    options["transport_options"] = {**limits, **(options.get("transport_options") or {})}
    connection = importlib.import_module("kombu").Connection(**options)
    channel = connection.channel()
    for queue in record["queues"]:
        if queue["exchange"]:
            # Only a note inside kombu, which finds the queues of a message by the type of its exchange.
            channel.exchange_declare(queue["exchange"], queue["exchange_type"])
    for tag in acknowledged:
        channel.qos._remove_from_indices(tag).execute()
    # The last one first: each is put at the head of its queue.
    for tag in reversed(tags):
        if tag not in restored:
            channel.qos.restore_by_tag(tag)
            restored.add(tag)


def restore_in_time(record: Dict[str, Any], order: Dict[str, Any], account: Account) -> None:
    """Restore the messages, again after each failure: the broker may be about to start. `end_at` limits it."""
    while True:
        try:
            restore(record, order["tags"], order["acknowledged"], account.restored)
            return
        except Exception as error:
            # Its text may contain the broker's URL.
            before, account.problem = account.problem, type(error).__name__
        if account.problem != before:
            account.report("cannot hand back its messages yet (%s); trying again" % account.problem)
        sleep(PAUSE_SECONDS)


def beside(name: str) -> Any:
    """Import a file beside this one, as the launcher does."""
    return importlib.import_module(PACKAGE + "." + name)


def main(descriptor: int) -> int:
    """Carry out the order; return the exit status."""
    close_inherited(descriptor)
    directory = os.path.dirname(os.path.realpath(__file__))
    # A module of the agent must not hide one of kombu's.
    sys.path[:] = [each for each in sys.path if os.path.realpath(each or ".") != directory]
    sys.dont_write_bytecode = True
    package = sys.modules[PACKAGE] = types.ModuleType(PACKAGE)
    package.__path__ = [directory]
    order = read_order(descriptor)
    account = Account(order)
    end_at(order["until"], account)
    # The tasks have ended with the worker, whatever becomes of their messages.
    account.record(order["events"])
    broker_record = beside("broker_record")
    record = broker_record.read_record(os.path.join(order["run_directory"], broker_record.BROKER_FILE))
    if record is not None:
        restore_in_time(record, order, account)
    signal.setitimer(signal.ITIMER_REAL, 0)
    account.conclude("" if record else "LookupError")
    return 0 if record else 1


if __name__ == "__main__":
    # Not sys.exit(): kombu's connection is left as it is.
    status = main(int(sys.argv[1]))
    os._exit(status)
