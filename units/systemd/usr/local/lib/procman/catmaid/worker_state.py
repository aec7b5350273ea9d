"""What is known of the running worker or beat: hooks and whoever asks the broker fill it, the heartbeat reads it."""

import os
import sys
from time import monotonic, time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from . import verdict
from .settings import HealthSettings


class Measured(NamedTuple):
    """What a worker does at one moment; None: cannot be told."""

    slots: Optional[int] = None
    busy: Optional[int] = None
    reserved: Optional[int] = None
    finished: int = 0
    received: Tuple[Any, ...] = ()
    """Differs from what it was before when anything was received, started or finished meanwhile."""
    excused: bool = False
    """It rightly takes no more messages: what it holds waits for its time or for a rate limit."""
    tasks: Tuple[Tuple[str, Optional[float]], ...] = ()


class WorkerState:
    """One program's state. Each attribute is set whole and by one thread at a time, so that no lock is needed."""

    def __init__(self, settings: HealthSettings) -> None:
        self.settings = settings
        self.pid = os.getpid()
        self.started = monotonic()
        self.phase = verdict.IMPORTING
        self.phase_since = self.started
        self.is_up = False
        """Up and trying, with or without a broker."""
        self.on_change: Callable[[], None] = lambda: None
        self.loop: Optional[float] = None
        self.pool: Optional[str] = None
        self.node_name: Optional[str] = None
        self.measure: Callable[[], Measured] = Measured
        self.missing: Dict[str, str] = {}
        self.queues: List[Dict[str, Any]] = []
        self.passive_queues = frozenset()  # type: frozenset[str]
        """Queues from which this worker may rightly get nothing: another is their only consumer."""
        self.queues_asked: Optional[float] = None
        self.tick: Optional[float] = None
        self.tick_due: Optional[float] = None
        self.next_due: Optional[float] = None
        self.next_entry: Optional[str] = None
        self.scheduler: Optional[str] = None
        self.held: Optional[bool] = None
        self.progress = self.started
        self.idle_since: Optional[float] = None
        self._received: Tuple[Any, ...] = ()
        self._has_moved = False

    def is_own_process(self) -> bool:
        """Say whether this is not a child that has inherited all of it."""
        return os.getpid() == self.pid

    def enter(self, phase: str) -> None:
        """Note a change of phase; stopping is left no more. Called from signal handlers too."""
        if self.phase not in (phase, verdict.STOPPING) and self.is_own_process():
            # The moment first: whoever reads in between takes the old phase for a younger one.
            self.phase_since = monotonic()
            self.phase = phase
            self.on_change()

    def come_up(self) -> None:
        """Note that it is up and trying."""
        if not self.is_up and self.is_own_process():
            self.is_up = True
            self.on_change()

    def turn(self, *_: Any) -> None:
        """Note that the main event loop has come round."""
        self.loop = monotonic()

    def move(self, *_: Any, **__: Any) -> None:
        """Note progress that no count shows, such as a revoked task."""
        self._has_moved = True

    def follow(self, now: float, measured: Measured) -> None:
        """Keep `progress` and `idle_since` up to date with what was just measured."""
        moved = self._has_moved or measured.received != self._received or measured.excused
        self._has_moved, self._received = False, measured.received
        has_free_slot = measured.busy is not None and measured.slots is not None and measured.busy < measured.slots
        waiting = any(queue["messages"] for queue in self.queues if queue["name"] not in self.passive_queues)
        if moved or not has_free_slot or not (measured.reserved or waiting):
            self.progress = now
        if not (waiting and has_free_slot and not measured.reserved and self.phase == verdict.CONSUMING):
            self.idle_since = None
        elif moved or self.idle_since is None:
            self.idle_since = now

    def heartbeat(self, now: float) -> Dict[str, Any]:
        """Return what is known as `verdict.read` takes it, but for the verdict itself."""
        measured = self._measured()
        self.follow(now, measured)
        settings = self.settings
        return {
            "format": verdict.FORMAT,
            "program": settings.program,
            "kind": settings.kind,
            "boot_id": settings.boot_id,
            "pid": self.pid,
            "started": self.started,
            "interval": settings.heartbeat_seconds,
            "written": now,
            "wall": time(),
            "phase": self.phase,
            "phase_since": self.phase_since,
            "loop": self.loop,
            "pool": self.pool,
            "slots": measured.slots,
            "busy": measured.busy,
            "reserved": measured.reserved,
            "finished": measured.finished,
            "progress": self.progress,
            "queues": self.queues,
            "queues_asked": self.queues_asked,
            "idle_with_messages_since": self.idle_since,
            "tasks": [{"name": printable(name), "since": since} for name, since in measured.tasks[: verdict.MAX_TASKS]],
            "node_name": self.node_name,
            "versions": _versions(),
            "tick": self.tick,
            "tick_due": self.tick_due,
            "next_due": self.next_due,
            "next_entry": self.next_entry,
            "scheduler": self.scheduler,
            "missing": [printable("{}: {}".format(*each)) for each in sorted(self.missing.items())],
            "held": self.held,
        }

    def _measured(self) -> Measured:
        if self.phase not in (verdict.CONSUMING, verdict.DISCONNECTED, verdict.STOPPING):
            return Measured()
        try:
            measured = self.measure()
        except Exception as error:  # whatever Celery's next version has changed
            self.missing["tasks"] = described(error)
            return Measured()
        self.missing.pop("tasks", None)
        return measured


def printable(text: Any) -> str:
    """Return TEXT as a heartbeat may hold it."""
    return "".join(each if each.isprintable() else "?" for each in str(text)[: verdict.MAX_NAME])


def described(error: BaseException) -> str:
    """Return what went wrong, without anything secret: a message may hold the broker's URL."""
    return type(error).__name__


def _versions() -> Mapping[str, Optional[str]]:
    found: Dict[str, Optional[str]] = {"python": sys.version.split()[0]}
    for name in ("celery", "kombu"):
        # Not imported here: that is Celery's own to do, in its own time.
        version = vars(sys.modules[name]).get("__version__") if name in sys.modules else None
        found[name] = printable(version) if isinstance(version, str) else None
    return found
