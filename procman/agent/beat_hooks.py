"""Observe a Celery beat through its signal and the ticks of any scheduler: Celery 4.4 to 5.7."""

import heapq
import importlib
from time import monotonic
from typing import Any, Callable

from . import beat_lock, failed_sends, heartbeat_format, missed_entries, verdict
from .broker_digest import brokers_of
from .worker_state import WorkerState, described, printable


def connect(observed: WorkerState, start_asking: Callable[[Any], None], report: Callable[[str], None]) -> None:
    """Keep `observed` up to date with the beat that this process will become; call `start_asking` with its app.

    `report` writes a line to the log, also from another thread.
    """
    signals = importlib.import_module("celery.signals")

    def on_init(sender: Any = None, **_: Any) -> None:
        if not observed.is_own_process():
            return
        try:
            _wrap_tick(sender.scheduler, observed)
            failed_sends.count(sender.scheduler, observed)
            start_asking(sender.app)
        except Exception as error:
            observed.missing["ticks"] = described(error)
            observed.enter(verdict.TICKING)
        else:
            observed.enter(verdict.STARTING)
            beat_lock.follow(sender.scheduler, observed)
        try:
            missed_entries.follow(sender.scheduler, observed, report)
        except Exception as error:
            observed.missing["missed entries"] = described(error)
        observed.brokers = brokers_of(lambda: sender.app.connection_for_write())
        observed.come_up()

    # Celery calls receivers in the order in which they were connected. This one is connected before the app is
    # imported, so it is the first; a later one may wait for a lock, as RedBeat's does.
    signals.beat_init.connect(on_init, weak=False)


def _wrap_tick(scheduler: Any, observed: WorkerState) -> None:
    tick = scheduler.tick
    observed.scheduler = printable(f"{type(scheduler).__module__}:{type(scheduler).__name__}")

    def ticking(*args: Any, **more: Any) -> Any:
        observed.tick_due = monotonic()
        observed.enter(verdict.TICKING)
        seconds = tick(*args, **more)
        try:
            _note(scheduler, observed, seconds)
        except Exception as error:
            observed.missing["ticks"] = described(error)
        return seconds

    scheduler.tick = ticking


def _note(scheduler: Any, observed: WorkerState, seconds: Any) -> None:
    now = monotonic()
    observed.tick = now
    observed.tick_due = now + max(0.0, float(seconds or 0))
    # Only Celery's own scheduler and its subclasses have it; others, such as RedBeat, keep their entries elsewhere.
    heap = getattr(scheduler, "_heap", None) or ()
    soonest = heapq.nsmallest(heartbeat_format.MAX_ENTRIES, list(heap), key=lambda event: event[0])
    # Not entry.is_due(): the database scheduler may write to the database there.
    observed.next_entries = [
        {"name": printable(entry.name), "due": now + when - scheduler._when(entry, 0)} for when, _, entry in soonest
    ]
