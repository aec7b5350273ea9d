"""The overlap restarts of a keeper: a successor starts, and the earlier process drains once that consumes."""

from time import monotonic, time
from typing import Any, Callable, Dict, Optional

from .keeper_notify import Relay
from .keeper_processes import STALE_SECONDS, WAITING, Processes
from .keeper_worker import CONSUMING, Worker

BEGUN, DONE, FAILED, REFUSED = "begun", "done", "failed", "refused"


class Overlaps:
    """The last overlap restart, and whether another one has been ordered."""

    def __init__(
        self,
        processes: Processes,
        relay: Relay,
        report: Callable[[str], None],
        record: Callable[[str, str, float], None],
    ) -> None:
        self._processes, self._relay, self._report, self._record = processes, relay, report, record
        self._deadline = 0.0
        self.is_asked = False
        self.last: Dict[str, Any] = {"number": 0, "outcome": DONE, "reason": "", "since": monotonic()}
        self.failed: Optional[Dict[str, Any]] = None
        """The last one, if it failed or was refused."""

    def follow(self) -> None:
        """Judge the successor that is starting, or begin the overlap that has been ordered."""
        if self._processes.successor:
            self._judge(self._processes.successor)
        elif self.is_asked:
            self.is_asked = False
            number = self.last["number"] + 1
            self.last = {"number": number, "outcome": BEGUN, "reason": "", "since": monotonic()}
            self._begin()

    def end(self, outcome: str, reason: str = "") -> None:
        """Report how the last overlap has ended."""
        at = time()
        self.last.update(outcome=outcome, reason=reason, since=monotonic(), at=at)
        self.failed = None if outcome == DONE else {"outcome": outcome, "reason": reason, "at": at}
        self._record(outcome, reason, at)
        self._report("overlap restart {}{}".format(outcome, ": " + reason if reason else ""))

    def _begin(self) -> None:
        processes = self._processes
        problem = self._problem()
        draining, slot = processes.draining(), processes.free_slot()
        is_full = bool(processes.current) and len(draining) >= processes.launch.overlap_max
        if problem:
            self.end(FAILED, problem)
        elif slot is None and processes.slot_problem and not is_full:
            self.end(FAILED, processes.slot_problem)
        elif slot is None or is_full:
            self.end(REFUSED, processes.listed(draining))
        else:
            self._start_successor(slot)

    def _problem(self) -> str:
        try:
            return self._processes.read_launch() if self._processes.hold() else WAITING
        except OSError as error:
            return "cannot use {}: {}".format(self._processes.directory, error.strerror)

    def _start_successor(self, slot: str) -> None:
        processes = self._processes
        try:
            processes.require_writable(slot)
        except OSError as error:
            self.end(FAILED, "cannot write to {}: {}".format(processes.directory_of(slot), error.strerror))
            return
        try:
            successor = processes.start(slot)
        except OSError as error:
            self.end(FAILED, "cannot start a process: {}".format(error.strerror))
            return
        # It also takes the place of one that has ended and would be started again.
        processes.successor, processes.start_at = successor, None
        self._deadline = monotonic() + processes.launch.overlap_seconds
        self._report("overlap restart: process {} starts in slot {}".format(successor.pid, slot))

    def _judge(self, successor: Worker) -> None:
        earlier = self._processes.current
        if successor.is_healthy(STALE_SECONDS):
            successor.enter(CONSUMING)
            self._promote(successor)
            if earlier:
                self._processes.others.append(earlier)
                earlier.drain()
            self.end(DONE)
        elif monotonic() > self._deadline:
            self._give_up(successor)

    def _give_up(self, successor: Worker) -> None:
        processes = self._processes
        seconds, condition = processes.launch.overlap_seconds, successor.condition()
        if processes.current:
            processes.successor = None
            processes.others.append(successor)
            successor.stop(within=processes.launch.stop_timeout_seconds)
        else:
            self._promote(successor)
        reason = "process {} did not become healthy within {:g} s".format(successor.pid, seconds)
        self.end(FAILED, reason + (": " + condition if condition else ""))

    def _promote(self, successor: Worker) -> None:
        self._processes.current, self._processes.successor = successor, None
        self._relay.follow(successor.watchdog)
