"""Note each order of Celery's remote control that changes this worker, in the program's own event log.

Celery itself keeps no record of them, and a message of remote control does not name its sender.
"""

import importlib
from collections import deque
from time import monotonic
from typing import Any, Callable, Deque, Mapping

from . import own_events
from .worker_state import WorkerState, described, printable

ORDERED = "ordered"
"""What the event is."""

TARGETS = {
    "add_consumer": ("queue",),
    "autoscale": ("max", "min"),
    "cancel_consumer": ("queue",),
    "pool_grow": ("n",),
    "pool_restart": (),
    "pool_shrink": ("n",),
    "rate_limit": ("task_name", "rate_limit"),
    "revoke": ("task_id", "terminate"),
    "revoke_by_stamped_headers": ("terminate",),
    "shutdown": (),
    "terminate": ("task_id", "signal"),
    "time_limit": ("task_name", "soft", "hard"),
}
"""The orders, each with the arguments that are noted; others may hold secrets."""

MOST_IDS = 5
MOST_PER_HOUR = 100
"""A program that revokes thousands of tasks must not push all other events out of the log."""

HOUR = 3600.0


class ControlOrders:
    """The orders that wait for the heartbeat's thread, because the disk may hang and the worker must not."""

    def __init__(self, observed: WorkerState, report: Callable[[str], None]) -> None:
        self._observed = observed
        self._report = report
        self._waiting: Deque[str] = deque()
        self._since = monotonic()
        self._noted = 0

    def connect(self) -> None:
        """Follow the orders once the worker is being set up; call it before that."""
        signals = importlib.import_module("celery.signals")
        signals.worker_init.connect(self._follow, weak=False)

    def write(self) -> None:
        """Write the events of the orders received so far."""
        while self._waiting:
            own_events.record(self._observed.settings, self._report, ORDERED, reason=self._waiting.popleft())

    def _follow(self, **_: Any) -> None:
        try:
            # The worker looks each order up here.
            handlers = importlib.import_module("celery.worker.control").Panel.data
            for name in TARGETS:
                if name in handlers:
                    handlers[name] = self._noting(name, handlers[name])
        except Exception as error:
            self._observed.missing["orders"] = described(error)

    def _noting(self, name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any, **named: Any) -> Any:
            # Before the order is carried out: a shutdown does not return.
            self._note(name, named)
            return handler(*arguments, **named)

        return noting

    def _note(self, name: str, named: Mapping[str, Any]) -> None:
        try:
            now = monotonic()
            if now - self._since >= HOUR:
                self._since, self._noted = now, 0
            self._noted += 1
            if self._noted <= MOST_PER_HOUR:
                self._waiting.append(self._text(name, named))
            elif self._noted == MOST_PER_HOUR + 1:
                self._waiting.append("remote control: further orders are not noted for up to an hour")
            else:
                return
            self._observed.on_change()
        except Exception as error:
            self._observed.missing["orders"] = described(error)

    def _text(self, name: str, named: Mapping[str, Any]) -> str:
        try:
            return text_of(name, named)
        except Exception as error:
            # The order is carried out all the same.
            self._observed.missing["orders"] = described(error)
            return "remote control: {}: its target cannot be shown".format(name)


def text_of(name: str, named: Mapping[str, Any]) -> str:
    """Return the order and its target as a line."""
    words = [
        "{} {}".format(each, _shown(named[each])) for each in TARGETS[name] if named.get(each) not in (None, False, "")
    ]
    return printable("remote control: {}{}".format(name, ": " + ", ".join(words) if words else ""))


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple, set, frozenset)):
        values = [str(each) for each in value]
        more = ["and {} more".format(len(values) - MOST_IDS)] if len(values) > MOST_IDS else []
        return " ".join(values[:MOST_IDS] + more)
    return str(value)
