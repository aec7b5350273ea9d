"""Notice that a beat waits for a lock that another beat holds, and ask when it expires: RedBeat 2.0 to 2.4.

RedBeat takes its lock in a receiver of `beat_init`, which waits as long as another beat renews the lock.
"""

from time import monotonic, sleep
from typing import Any, Dict, Mapping, Optional

from . import verdict
from .native_threads import start_thread
from .worker_state import WorkerState, printable

PACKAGE = "redbeat"

ANSWER_SECONDS = 3
"""How long Redis may take to connect or to answer."""

NO_KEY, NO_EXPIRY = -2, -1
"""Answers of Redis to PTTL instead of milliseconds."""


def follow(scheduler: Any, observed: WorkerState) -> None:
    """Report the beat as on standby until `scheduler` has its lock; do nothing for a scheduler without one."""
    if is_redbeat(scheduler) and getattr(scheduler, "lock_key", None):
        lock = SchedulerLock(scheduler, observed)
        observed.is_on_standby, observed.lock = lock.is_missing, lock.fields
        # Not the thread that polls the broker: the lock may be in a Redis that hangs.
        start_thread(lock.ask_while_missing)


def is_redbeat(scheduler: Any) -> bool:
    """Return whether `scheduler` is RedBeat's or a subclass of it."""
    return any(each.__module__.partition(".")[0] == PACKAGE for each in type(scheduler).__mro__)


class SchedulerLock:
    """The lock of a RedBeat scheduler, which has the attribute `lock` once it holds it."""

    def __init__(self, scheduler: Any, observed: WorkerState) -> None:
        self._scheduler = scheduler
        self._observed = observed
        self._until: Optional[float] = None

    def is_missing(self) -> bool:
        """Return whether the beat waits for the lock before its first tick."""
        return self._observed.phase == verdict.STARTING and not self._is_taken()

    def fields(self) -> Mapping[str, Any]:
        """Return the fields of a heartbeat about the lock; empty if beat ticks without it."""
        if not self.is_missing():
            return {"lock": printable(self._scheduler.lock_key)} if self._is_taken() else {}
        # RedBeat tries again at its longest interval (`sleep=scheduler.max_interval`).
        return {
            "lock": printable(self._scheduler.lock_key),
            "lock_until": self._until,
            "lock_retry": float(self._scheduler.max_interval),
        }

    def ask_while_missing(self) -> None:
        """Ask Redis again and again when the lock expires, as long as the beat waits for it."""
        while self.is_missing():
            try:
                self._until = self._expiry(_remaining(self._scheduler))
            except Exception:
                self._until = None
            sleep(max(0.2, self._observed.settings.stale_seconds / 2))

    def _is_taken(self) -> bool:
        return getattr(self._scheduler, "lock", None) is not None

    def _expiry(self, milliseconds: int) -> Optional[float]:
        """Return when the lock expires, or did expire; None if it never does."""
        now = monotonic()
        if milliseconds == NO_KEY:
            return now if self._until is None else min(self._until, now)
        return None if milliseconds == NO_EXPIRY else now + milliseconds / 1000


def _remaining(scheduler: Any) -> int:
    """Return the answer of Redis about the lock, on a new connection with the settings of RedBeat's own."""
    pool = scheduler.app.redbeat_redis.connection_pool
    settings: Dict[str, Any] = {**pool.connection_kwargs, "socket_timeout": ANSWER_SECONDS}
    connection = pool.connection_class(**settings)
    try:
        connection.connect()
        connection.send_command("PTTL", scheduler.lock_key)
        return int(connection.read_response())
    finally:
        connection.disconnect()
