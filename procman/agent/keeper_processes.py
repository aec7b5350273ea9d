"""The processes of a worker that overlaps, each in a slot of its own, and what the next one is started from."""

import fcntl
import os
from time import monotonic
from typing import Any, Callable, Dict, List, Optional

from . import keeper_launch, slots
from .keeper_worker import CONSUMING, STARTING, Worker

WAITING = "waiting for an earlier process of the same program to exit"
STALE_SECONDS = 30.0
"""Up to this age, a heartbeat shows what a process is doing."""


class Processes:
    """The processes that one keeper has started and that have not ended."""

    def __init__(self, launch_file: str, environment: Dict[str, str], notify_socket: str) -> None:
        self._launch_file, self._environment, self._notify_socket = launch_file, environment, notify_socket
        self.directory = environment["PROCMAN_RUN_DIRECTORY"]
        self.launch = keeper_launch.read_launch(launch_file)
        self.current: Optional[Worker] = None
        """The one that consumes, or will; None before the first one, and between its end and the next one."""
        self.successor: Optional[Worker] = None
        self.others: List[Worker] = []
        """Those that drain or stop."""
        self.start_at: Optional[float] = monotonic()
        """When the next current one is to be started; None: not at all."""
        self.slot_problem = ""
        """Why a slot could not be used at the last look at all of them; empty: each was free or taken."""
        self._lock = -1

    def every(self) -> List[Worker]:
        """Return all of them."""
        return [each for each in (self.current, self.successor, *self.others) if each is not None]

    def remove(self, worker: Worker) -> None:
        """Forget a process that has ended."""
        self.current = None if worker is self.current else self.current
        self.successor = None if worker is self.successor else self.successor
        self.others = [each for each in self.others if each is not worker]

    def note_health(self) -> None:
        """Note when the current one consumes for the first time."""
        if self.current and self.current.state == STARTING and self.current.is_healthy(STALE_SECONDS):
            self.current.enter(CONSUMING)

    def read_launch(self) -> str:
        """Read the launch file again; return why it cannot be used, and so stays as it was."""
        try:
            self.launch = keeper_launch.read_launch(self._launch_file)
        except keeper_launch.UnusableLaunchError as error:
            return str(error)
        return ""

    def start(self, slot: str) -> Worker:
        """Start another one in a free slot."""
        directory = self.directory_of(slot)
        environment = keeper_launch.environment_of(
            self.launch, self._environment, directory, os.getpid(), self._notify_socket
        )
        return Worker(slot, directory, self.launch.words(slot), environment)

    def free_slot(self) -> Optional[str]:
        """Return the first slot in which nothing runs, whoever started it; None if there is none."""
        taken, self.slot_problem = {worker.slot for worker in self.every()}, ""
        free = (slot for slot in self.launch.node_names if slot not in taken and self._is_free(slot))
        return next(free, None)

    def require_writable(self, slot: str) -> None:
        """Raise OSError if a successor in `slot` could not write its heartbeat, and so would never count as healthy."""
        slots.require_writable(self.directory_of(slot))

    def draining(self) -> List[str]:
        """Return the slots of earlier processes that still run, even if another keeper started them."""
        own = {worker.slot for worker in self.every() if worker not in self.others}
        others = (slot for slot in self.launch.node_names if slot not in own)
        return [slot for slot in others if not self._is_free(slot, unusable=True)]

    @staticmethod
    def listed(draining: List[str]) -> str:
        """Return in words that so many slots are taken."""
        plural = len(draining) != 1
        what = "earlier processes are" if plural else "earlier process is"
        return "{} {} draining (slot{} {})".format(len(draining), what, "s" if plural else "", ", ".join(draining))

    def _is_free(self, slot: str, *, unusable: bool = False) -> bool:
        directory = self.directory_of(slot)
        try:
            return slots.is_free(directory)
        except OSError as error:
            self.slot_problem = "cannot use {}: {}".format(directory, error.strerror)
            return unusable

    def directory_of(self, slot: str) -> str:
        """Return the run directory of a slot."""
        return slots.directory_of(self.directory, slot)

    def kill_overdue(self, report: Callable[[str], None]) -> None:
        """Kill those that should have stopped by now, and that the process manager does not watch."""
        now = monotonic()
        for worker in self.others:
            if worker.kill_at is not None and now >= worker.kill_at:
                report("process {} did not stop within its stop timeout and is killed".format(worker.pid))
                worker.kill()

    # The lock --------------------------------------------------------------------------------------------------------

    def hold(self) -> bool:
        """Take the lock of the keeper: another one that is not stopping would start a second worker.

        Raises OSError if it cannot be opened.
        """
        if self._lock >= 0:
            return True
        path = os.path.join(self.directory, slots.KEEPER_LOCK)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def may_report(self) -> bool:
        """Return whether no other keeper holds the lock: its processes are those that count, and it reports them."""
        if self._lock >= 0:
            return True
        try:
            return slots.can_lock(os.path.join(self.directory, slots.KEEPER_LOCK))
        except OSError:
            return False

    def release(self) -> None:
        """Let another keeper start processes, because this one starts no more."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def described(self) -> Dict[str, Any]:
        """Return their part of the keeper's state."""
        return {
            "current": self.current.pid if self.current else None,
            "workers": [worker.described() for worker in self.every()],
        }
