"""Restore the messages that a stopping worker held on Redis; the worker becomes this script, or runs it as a child.

    VIRTUALENV/bin/python handback_script.py DESCRIPTOR

The order is JSON that can be read from the descriptor: the delivery tags, the events to record, and until when that may
take by the monotonic clock. The broker is that of the record which the worker has left in its run directory.
Neither the app nor Celery is imported. The exit status is 0 if every message was restored.
"""

import importlib
import json
import os
import signal
import sys
import types
from time import monotonic
from typing import Any, Dict, List

PACKAGE = "procman_agent"
ANSWER_SECONDS = 3
"""How long Redis may take to connect and to answer."""
LEAST_SECONDS = 0.5
"""How long it has at least."""
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


def end_at(moment: float, fail: Any) -> None:
    """Exit at `moment` of the monotonic clock; no other signal ends this script before."""
    seconds = max(LEAST_SECONDS, moment - monotonic())

    def time_is_up(*_: Any) -> None:
        fail("within %.0f s: the broker or this host is too slow" % seconds)
        os._exit(1)

    signal.signal(signal.SIGALRM, time_is_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})


def restore(record: Dict[str, Any], tags: List[str], acknowledged: List[str]) -> None:
    """Restore the messages with these delivery tags, unless another process has settled one; acknowledge others."""
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
        channel.qos.restore_by_tag(tag)


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
    settings_module = beside("settings")
    settings = settings_module.HealthSettings(order["program"], "worker", order["run_directory"])

    def report(message: str) -> None:
        settings_module.report(settings.program, message)

    def fail(why: str) -> None:
        report("cannot hand back its messages " + why + LATER)

    end_at(order["until"], fail)
    broker_record, own_events = beside("broker_record"), beside("own_events")
    # The tasks have ended with the worker, whatever becomes of their messages.
    for event in order["events"]:
        report(event["reason"])
        own_events.record(settings, report, **event)
    record = broker_record.read_record(os.path.join(settings.run_directory, broker_record.BROKER_FILE))
    try:
        if record is None:
            raise LookupError(broker_record.BROKER_FILE)
        restore(record, order["tags"], order["acknowledged"])
    except Exception as error:
        # Its text may contain the broker's URL.
        fail("(%s)" % type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    # Not sys.exit(): kombu's connection is left as it is.
    status = main(int(sys.argv[1]))
    os._exit(status)
