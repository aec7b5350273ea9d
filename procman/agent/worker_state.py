"""The observed state of the running worker or beat: the hooks and the queue poller set it, the heartbeat reads it."""

import os
import sys
from time import monotonic, time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from . import heartbeat_format, memory_events, pool_processes, verdict
from .settings import HealthSettings


class ActiveTask(NamedTuple):
    """A running task, with the texts that Celery has."""

    id: Any
    name: Any
    since: Optional[float]


class Measured(NamedTuple):
    """What a worker is doing at one moment; None: unknown."""

    slots: Optional[int] = None
    busy: Optional[int] = None
    reserved: Optional[int] = None
    finished: int = 0
    received: Tuple[Any, ...] = ()
    """A value that changes whenever a task is received, started or finished."""
    scheduled: Optional[int] = None
    """The messages it holds that wait for their ETA or a rate limit."""
    excused: bool = False
    """The worker takes no more messages for a good reason: those it holds wait for their ETA or a rate limit."""
    tasks: Tuple[ActiveTask, ...] = ()
    pool: Optional[pool_processes.PoolProcesses] = None


class EarlierBeat(NamedTuple):
    """What the last heartbeat of an earlier process of the same beat shows, in seconds since the epoch."""

    ticked: Optional[float] = None
    """When a beat of this program was last at work; None: unknown."""
    due: Mapping[str, float] = {}
    """When its next entries were due."""


class WorkerState:
    """One program's state. Each attribute is set atomically and by one thread at a time, so that no lock is needed."""

    def __init__(self, settings: HealthSettings) -> None:
        self.settings = settings
        self.pid = os.getpid()
        self.started = monotonic()
        self.phase = verdict.IMPORTING
        self.phase_since = self.started
        self.is_up = False
        """The program has started and tries to work, with or without a broker."""
        self.is_ready: Optional[bool] = None
        """Whether Celery has reported that the worker is ready; None if it is no worker, or if that is unknown."""
        self.on_change: Callable[[], None] = lambda: None
        self.loop: Optional[float] = None
        self.pool: Optional[str] = None
        self.node_name: Optional[str] = None
        self.connect_error: Optional[str] = None
        """The type of the error with which the last attempt to connect to the broker failed; None while connected."""
        self.measure: Callable[[], Measured] = Measured
        self.longest_tasks: Callable[[float], Mapping[str, Any]] = lambda _: {}
        """Returns the fields about the tasks that have taken the longest."""
        self.pool_ends: List[Dict[str, Any]] = []
        """The last pool processes that were killed or exited by themselves."""
        self.memory_kills: Optional[memory_events.Kills] = None
        self.missing: Dict[str, str] = {}
        self.queues: List[Dict[str, Any]] = []
        self.passive_queues = frozenset()  # type: frozenset[str]
        """Queues that may give this worker nothing, because another worker is their single active consumer."""
        self.queues_asked: Optional[float] = None
        self.tick: Optional[float] = None
        self.tick_due: Optional[float] = None
        self.next_entries: List[Dict[str, Any]] = []
        """The entries of beat that are due next, soonest first: name, and due by the monotonic clock."""
        self.earlier_beat = EarlierBeat()
        self.missed_entries: Mapping[str, Any] = {"missed_entries": []}
        """The fields about the entries of beat that were due while it was down."""
        self.scheduler: Optional[str] = None
        self.brokers: List[str] = []
        """The digests of the brokers; empty if unknown."""
        self.is_on_standby: Callable[[], bool] = lambda: False
        self.lock: Callable[[], Mapping[str, Any]] = dict
        """Returns the fields about the lock that the beat holds or waits for; empty if its scheduler has none."""
        self.failed_sends: Callable[[float], Mapping[str, Any]] = lambda _: {}
        """Returns the fields about the sends of beat that fail; empty if none does."""
        self.changed_code: Callable[[], Mapping[str, Any]] = dict
        """Returns the fields about modules whose files have changed; empty if none has."""
        self.held: Optional[bool] = None
        self.progress = self.started
        self.idle_since: Optional[float] = None
        self.full_since: Optional[float] = None
        """Since when messages that wait for their ETA or a rate limit fill all that the worker may hold."""
        self.visibility_seconds: Optional[float] = None
        """After how long kombu delivers an unacknowledged message again; None if the broker's server does."""
        self.time_limit: Optional[float] = None
        """The worker's hard time limit of a task."""
        self.unready_since: Optional[float] = None
        self.drains_while: Callable[[], bool] = lambda: True
        """Returns whether the program may still take any time to drain."""
        self._received: Tuple[Any, ...] = ()
        self._finished = 0
        self._has_moved = False

    def is_own_process(self) -> bool:
        """Return False in a child process that has inherited this state."""
        return os.getpid() == self.pid

    @property
    def is_stopping(self) -> bool:
        """Whether the program is stopping, in whatever time."""
        return self.phase in (verdict.DRAINING, verdict.STOPPING)

    def enter(self, phase: str) -> None:
        """Note a change of phase; stopping is final, and only that follows draining. Called from signal handlers too.

        A program that is stopping is killed after its stop timeout; one that is draining has any time.
        """
        if self.phase == phase or (self.is_stopping and phase != verdict.STOPPING):
            return
        if self.phase != verdict.STOPPING and self.is_own_process():
            # Time first: a reader in between sees the old phase as too young, not the new phase as too old.
            self.phase_since = monotonic()
            self.phase = phase
            self.on_change()

    def end(self) -> None:
        """Note that the program ends, whether or not that was requested."""
        if not self.is_stopping:
            self.enter(verdict.STOPPING)

    def come_up(self) -> None:
        """Note that the program has started and tries to work."""
        if not self.is_up and self.is_own_process():
            self.is_up = True
            self.on_change()

    def look_whether_to_stop(self) -> None:
        """Stop in time once draining has a limit, even if the main thread has not noticed that signal."""
        if self.phase == verdict.DRAINING and not self.drains_while():
            self.enter(verdict.STOPPING)

    def await_ready(self) -> None:
        """Note that Celery will report that the worker is ready."""
        self.is_ready = False

    def become_ready(self) -> None:
        """Note that Celery has reported that the worker is ready."""
        if self.is_own_process():
            self.is_up = self.is_ready = True
            self.on_change()

    def turn(self, *_: Any) -> None:
        """Note one more round of the main event loop."""
        self.loop = monotonic()

    def move(self, *_: Any, **__: Any) -> None:
        """Note progress that no counter shows, such as a revoked task."""
        self._has_moved = True

    def follow(self, now: float, measured: Measured) -> None:
        """Update `progress`, `idle_since` and `unready_since` with the latest measurement."""
        self._follow_pool(now, measured)
        moved = self._has_moved or measured.received != self._received or measured.excused
        self._has_moved, self._received = False, measured.received
        if not (measured.excused and self.phase == verdict.CONSUMING):
            self.full_since = None
        elif self.full_since is None:
            self.full_since = now
        has_free_slot = self._has_free_slot(now, measured)
        waiting = any(queue["messages"] for queue in self.queues if queue["name"] not in self.passive_queues)
        if moved or not has_free_slot or not (measured.reserved or waiting):
            self.progress = now
        if not (waiting and has_free_slot and not measured.reserved and self.phase == verdict.CONSUMING):
            self.idle_since = None
        elif moved or self.idle_since is None:
            self.idle_since = now

    def _follow_pool(self, now: float, measured: Measured) -> None:
        has_worked = bool(measured.busy) or measured.finished != self._finished
        self._finished = measured.finished
        pool = measured.pool
        # While it is disconnected, Celery does not replace pool processes that end.
        if pool is None or self.phase != verdict.CONSUMING or has_worked or pool_processes.ready_count(pool):
            self.unready_since = None
        elif self.unready_since is None:
            self.unready_since = now

    def _has_free_slot(self, now: float, measured: Measured) -> bool:
        if measured.busy is None or measured.slots is None:
            return False
        return measured.busy < pool_processes.usable_slots(measured.pool, measured.slots, self.unready_since, now)

    def heartbeat(self, now: float) -> Dict[str, Any]:
        """Return the heartbeat in the form that `heartbeat_format.read` accepts, without the verdict."""
        measured = self._measured()
        self.follow(now, measured)
        if self.memory_kills is not None:
            self.memory_kills.look()
        settings, pool, entries = self.settings, measured.pool, self.next_entries
        return {
            **dict.fromkeys(heartbeat_format.FIELDS),
            "format": heartbeat_format.FORMAT,
            "program": settings.program,
            "kind": settings.kind,
            "boot_id": settings.boot_id,
            "pid": self.pid,
            "started": self.started,
            "interval": settings.heartbeat_seconds,
            "written": now,
            "wall": time(),
            "phase": verdict.STANDBY if self.is_on_standby() else self.phase,
            "phase_since": self.phase_since,
            # A worker with a loop of its own may never report it.
            "ready": self.is_ready if self.is_ready is None else self.is_ready or measured.finished > 0,
            "loop": self.loop,
            "pool": self.pool,
            "slots": measured.slots,
            "busy": measured.busy,
            "reserved": measured.reserved,
            "scheduled": measured.scheduled,
            "full_since": self.full_since,
            "visibility_seconds": self.visibility_seconds,
            "time_limit": self.time_limit,
            "finished": measured.finished,
            "progress": self.progress,
            "pool_processes": None if pool is None else pool.alive,
            "pool_starting": None if pool is None else pool.starting,
            "pool_start_seconds": None if pool is None else pool.start_seconds,
            "pool_unready_since": self.unready_since,
            "pool_ends": self.pool_ends,
            "queues": self.queues,
            "queues_asked": self.queues_asked,
            "idle_with_messages_since": self.idle_since,
            "tasks": [
                {"id": printable(task.id), "name": printable(task.name), "since": task.since}
                for task in measured.tasks[: heartbeat_format.MAX_TASKS]
            ],
            **self.longest_tasks(now),
            "node_name": self.node_name,
            "connect_error": self.connect_error,
            "versions": _versions(),
            "tick": self.tick,
            "tick_due": self.tick_due,
            "next_due": entries[0]["due"] if entries else None,
            "next_entry": entries[0]["name"] if entries else None,
            "next_entries": entries,
            "ticked": self._ticked(now),
            **self.missed_entries,
            "scheduler": self.scheduler,
            "brokers": self.brokers,
            **self.lock(),
            **self.failed_sends(now),
            **self.changed_code(),
            "missing": [printable("{}: {}".format(*each)) for each in sorted(self.missing.items())],
            "held": self.held,
        }

    def _ticked(self, now: float) -> Optional[float]:
        """Return when beat was last at work: now, unless its next tick is overdue."""
        if self.tick is None or self.tick_due is None:
            return self.earlier_beat.ticked
        return time() - max(0.0, now - self.tick_due)

    def _measured(self) -> Measured:
        if self.phase not in verdict.WITH_TASKS:
            return Measured()
        try:
            measured = self.measure()
        except Exception as error:  # Celery's internals may change
            self.missing["tasks"] = described(error)
            return Measured()
        self.missing.pop("tasks", None)
        return measured


def printable(text: Any) -> str:
    """Return `text` in the form that a heartbeat accepts: short and printable."""
    return "".join(each if each.isprintable() else "?" for each in str(text)[: heartbeat_format.MAX_NAME])


def described(error: BaseException) -> str:
    """Return the type of `error` without its message, which may contain the broker's URL."""
    return type(error).__name__


def _versions() -> Mapping[str, Optional[str]]:
    found: Dict[str, Optional[str]] = {"python": sys.version.split()[0]}
    for name in ("celery", "kombu"):
        # Not imported here: the heartbeat must not import Celery.
        version = vars(sys.modules[name]).get("__version__") if name in sys.modules else None
        found[name] = printable(version) if isinstance(version, str) else None
    return found
