"""Follow a Celery beat by its signal and the ticks of its scheduler, whichever that is: Celery 4.4 to 5.7."""

import importlib
from time import monotonic
from typing import Any, Callable

from . import verdict
from .worker_state import WorkerState, described, printable


def connect(observed: WorkerState, start_asking: Callable[[Any], None]) -> None:
    """Have OBSERVED follow the beat that this process is about to become; START_ASKING is called with its app."""
    signals = importlib.import_module("celery.signals")

    def on_init(sender: Any = None, **_: Any) -> None:
        if not observed.is_own_process():
            return
        try:
            _wrap_tick(sender.scheduler, observed)
            start_asking(sender.app)
        except Exception as error:
            observed.missing["ticks"] = described(error)
        observed.enter(verdict.TICKING)
        observed.come_up()

    signals.beat_init.connect(on_init, weak=False)


def _wrap_tick(scheduler: Any, observed: WorkerState) -> None:
    tick = scheduler.tick
    observed.scheduler = printable(f"{type(scheduler).__module__}:{type(scheduler).__name__}")
    observed.tick_due = monotonic()

    def ticking(*args: Any, **more: Any) -> Any:
        observed.tick_due = monotonic()
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
    # Of Celery's own scheduler and those made from it; others, such as RedBeat's, keep their list elsewhere.
    heap = getattr(scheduler, "_heap", None)
    if not heap:
        observed.next_due = observed.next_entry = None
        return
    when, _, entry = heap[0]
    # Not entry.is_due(): with the database's scheduler it may write.
    observed.next_due = now + when - scheduler._when(entry, 0)
    observed.next_entry = printable(entry.name)
