"""Keep a worker running whose successor starts before it stops: the parent of its processes.

    VIRTUALENV/bin/python -I -S -B keeper.py LAUNCH_FILE

The process manager starts this file for a worker with `overlap = true`, and it starts the worker through the launcher,
as the launch file describes. It passes on every signal but two: on HUP it starts a successor, and once that consumes,
the earlier process drains; on SIGRTMIN it stops those that drain. It exits after its last process, in the way in which
that ended, so that the process manager sees what it would see of a worker alone.

One thread, the standard library, and few modules of it: a keeper runs as long as its worker does.
"""

import fcntl
import importlib
import json
import os
import select
import signal
import sys
import types
from time import monotonic
from typing import Any, Dict, List, Optional

PACKAGE = "procman_agent"


def beside(name: str) -> Any:
    """Import a file beside this one."""
    if PACKAGE not in sys.modules:
        package = sys.modules[PACKAGE] = types.ModuleType(PACKAGE)
        package.__path__ = [os.path.dirname(os.path.realpath(__file__))]
    return importlib.import_module(PACKAGE + "." + name)


STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
STOP_DRAINING = signal.SIGRTMIN

IDLE_SECONDS = 1.0
BUSY_SECONDS = 0.2
"""How long the loop waits for a signal or message, without and with an overlap in progress."""
STALE_SECONDS = 30.0
EXIT_CANNOT_START = 78

BEGUN, DONE, FAILED, REFUSED = "begun", "done", "failed", "refused"


class Keeper:
    """The processes of one worker."""

    def __init__(self, launch_file: str, environment: Dict[str, str]) -> None:
        self._signals = beside("keeper_signals")
        self._launches, self._slots, self._workers = beside("keeper_launch"), beside("slots"), beside("keeper_worker")
        self._launch_file, self._environment = launch_file, environment
        self._program = environment.get("PROCMAN_PROGRAM") or "keeper"
        self._directory = environment["PROCMAN_RUN_DIRECTORY"]
        self._relay = beside("keeper_notify").Relay(environment)
        self._parent = int(environment.get("PROCMAN_PARENT_PID") or 0)
        self._launch = self._launches.read_launch(launch_file)
        self._current: Any = None
        """The worker that consumes, or will; None before the first one, and between its end and the next one."""
        self._successor: Any = None
        self._others: List[Any] = []
        """Workers that drain or stop."""
        self._lock = -1
        self._start_at: Optional[float] = monotonic()
        self._stop_signal = 0
        self._is_limited = False
        self._is_asked = False
        self._deadline = 0.0
        self._overlap: Dict[str, Any] = {"number": 0, "outcome": DONE, "reason": "", "since": monotonic()}
        self._status = 0
        self._written = ""
        self._reason_reported = ""

    def report(self, message: str) -> None:
        """Write a line to the program's log."""
        beside("settings").report(self._program, message)

    # The loop --------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Keep the worker running; return the status of its last process, as of os.waitpid."""
        signals = self._signals.Signals([signal.SIGHUP, STOP_DRAINING, signal.SIGCHLD])
        poll = select.poll()
        for descriptor in (signals.fileno(), self._relay.fileno()):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        while not self._has_ended():
            self._start_if_due()
            self._follow_overlap()
            self._kill_overdue()
            self._write_state()
            poll.poll(1000 * (BUSY_SECONDS if self._successor or self._is_asked else IDLE_SECONDS))
            for number in signals.received():
                self._handle(number)
            self._reap()
            self._relay_messages()
            self._look_at_parent()
        self._write_state()
        return self._status

    def _has_ended(self) -> bool:
        return not (self._current or self._successor or self._others) and self._start_at is None

    def _handle(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._is_asked = True
        elif number == STOP_DRAINING:
            for worker in self._others:
                worker.stop(within=self._launch.stop_timeout_seconds)
        elif number in STOPS:
            self._stop(number)
        elif number != signal.SIGCHLD:
            for worker in self._all():
                worker.send(number)

    def _all(self) -> List[Any]:
        return [each for each in (self._current, self._successor, *self._others) if each is not None]

    def _stop(self, number: int, *, has_limit: bool = True) -> None:
        """Stop every process. If it has a limit, the process manager kills those that are left at the end of that."""
        is_first, self._is_limited = not self._is_limited, self._is_limited or has_limit
        self._stop_signal = number
        self._start_at, self._is_asked = None, False
        self._release()
        if self._successor:
            self._end_overlap(FAILED, "the program is being stopped")
            self._others.append(self._successor)
            self._successor = None
        if self._signals.is_from_terminal(number):
            return
        for worker in self._all():
            if not has_limit:
                if worker.state not in (self._workers.DRAINING, self._workers.STOPPING):
                    worker.drain()
            elif is_first or number != signal.SIGTERM:
                worker.stop(number)
            else:
                worker.send(number)

    def _look_at_parent(self) -> None:
        # The kernel could send a signal instead, but asking for it needs ctypes, and that needs memory.
        if self._parent and os.getppid() != self._parent:
            self._parent = 0
            self.report("its process manager has exited: its processes finish their tasks")
            # No SIGKILL follows.
            self._stop(signal.SIGTERM, has_limit=False)

    # Starting --------------------------------------------------------------------------------------------------------

    def _start_if_due(self) -> None:
        if self._start_at is None or monotonic() < self._start_at:
            return
        slot = self._free_slot() if self._hold() else None
        if slot is None:
            reason = "waiting for an earlier process of the same program to exit"
            if self._reason_reported != reason:
                self.report(reason)
            self._reason_reported = reason
            self._relay.put_off(reason)
            return
        self._reason_reported = ""
        try:
            self._launch = self._launches.read_launch(self._launch_file)
        except self._launches.UnusableLaunchError as error:
            self.report("{}; starting as before".format(error))
        self._current = self._started(slot)
        self._start_at = None
        self._relay.extend()

    def _started(self, slot: str) -> Any:
        directory = self._slots.directory_of(self._directory, slot)
        environment = self._launches.environment_of(
            self._launch, self._environment, directory, os.getpid(), self._relay.address
        )
        return self._workers.Worker(slot, directory, self._launch.words(slot), environment)

    def _free_slot(self) -> Optional[str]:
        taken = {worker.slot for worker in self._all()}
        for slot in self._launch.node_names:
            if slot not in taken and self._slots.is_free(self._slots.directory_of(self._directory, slot)):
                return str(slot)
        return None

    def _hold(self) -> bool:
        """Take the lock of the keeper: another one that is not stopping would be a second worker."""
        if self._lock >= 0:
            return True
        path = os.path.join(self._directory, "keeper.lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # Overlaps --------------------------------------------------------------------------------------------------------

    def _follow_overlap(self) -> None:
        if self._successor:
            self._judge_successor()
        elif self._is_asked and not self._stop_signal:
            self._is_asked = False
            self._begin_overlap()
        if self._current and self._current.state == self._workers.STARTING:
            if self._current.is_healthy(STALE_SECONDS):
                self._current.enter(self._workers.CONSUMING)

    def _begin_overlap(self) -> None:
        number = self._overlap["number"] + 1
        self._overlap = {"number": number, "outcome": BEGUN, "reason": "", "since": monotonic()}
        try:
            launch = self._launches.read_launch(self._launch_file)
        except self._launches.UnusableLaunchError as error:
            self._end_overlap(FAILED, str(error))
            return
        self._launch = launch
        draining = self._draining()
        slot = self._free_slot()
        if self._current is None:
            # It is about to start again, from the same file.
            self._start_at = monotonic()
            self._end_overlap(DONE, "")
        elif len(draining) >= launch.overlap_max or slot is None:
            self._end_overlap(REFUSED, _draining(draining))
        else:
            self._successor = self._started(slot)
            self._deadline = monotonic() + launch.overlap_seconds
            self.report("overlap restart: process {} starts in slot {}".format(self._successor.pid, slot))

    def _draining(self) -> List[str]:
        """Return the slots of earlier processes that still run, even if another keeper started them."""
        own = {worker.slot for worker in self._all() if worker not in self._others}
        known = [slot for slot in self._launch.node_names if slot not in own]
        return [slot for slot in known if not self._slots.is_free(self._slots.directory_of(self._directory, slot))]

    def _judge_successor(self) -> None:
        worker, earlier = self._successor, self._current
        if worker.is_healthy(STALE_SECONDS):
            worker.enter(self._workers.CONSUMING)
            self._current, self._successor = worker, None
            if earlier:
                self._others.append(earlier)
                earlier.drain()
            self._end_overlap(DONE, "")
        elif monotonic() > self._deadline:
            reason = "process {} did not become healthy within {:g} s".format(worker.pid, self._launch.overlap_seconds)
            condition = worker.condition()
            self._successor = None
            if earlier:
                self._others.append(worker)
                worker.stop(within=self._launch.stop_timeout_seconds)
            else:
                self._current = worker
            self._end_overlap(FAILED, reason + (": " + condition if condition else ""))

    def _end_overlap(self, outcome: str, reason: str) -> None:
        self._overlap.update(outcome=outcome, reason=reason, since=monotonic())
        self.report("overlap restart {}{}".format(outcome, ": " + reason if reason else ""))

    # Ends ------------------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._note_end(pid, status)

    def _note_end(self, pid: int, status: int) -> None:
        how = self._launches.described(status)
        is_successor = self._successor is not None and self._successor.pid == pid
        if is_successor:
            self._successor = None
            self._end_overlap(FAILED, "process {} ended ({}) before it was healthy".format(pid, how))
        if (is_successor and self._current is None) or (self._current and self._current.pid == pid):
            self._current, self._status = None, status
            if self._others and not self._stop_signal and not self._successor:
                seconds = self._launch.restart_seconds
                self._start_at = monotonic() + seconds
                self.report("process {} ended ({}); starting it again in {:g} s".format(pid, how, seconds))
        self._others = [worker for worker in self._others if worker.pid != pid]

    def _kill_overdue(self) -> None:
        now = monotonic()
        for worker in self._others:
            if worker.kill_at is not None and now >= worker.kill_at:
                self.report("process {} did not stop within its stop timeout and is killed".format(worker.pid))
                worker.kill()

    # systemd and procman ---------------------------------------------------------------------------------------------

    def _relay_messages(self) -> None:
        for pid, assignments in self._relay.received():
            for worker in self._all():
                if worker.pid == pid and "READY=1" in assignments:
                    worker.is_ready = True
            if self._current and self._current.pid == pid:
                is_stopping = bool(self._stop_signal)
                self._relay.forward(assignments, draining=len(self._others), is_stopping=is_stopping)
        if self._others and not self._stop_signal and not (self._current and self._current.is_ready):
            self._relay.feed("starting; {} draining".format(len(self._others)))

    def _write_state(self) -> None:
        """Describe the processes for procman, whenever something changes."""
        state = {
            "format": 1,
            "pid": os.getpid(),
            "current": self._current.pid if self._current else None,
            "overlap": self._overlap,
            "workers": [worker.described() for worker in self._all()],
        }
        text = json.dumps(state)
        if text == self._written:
            return
        path = os.path.join(self._directory, self._slots.STATE)
        try:
            beside("run_files").replace(path, text)
        except OSError as error:
            self._once("cannot write {}: {}".format(path, error.strerror))
        else:
            self._written = text

    def _once(self, message: str) -> None:
        if self._reason_reported != message:
            self.report(message)
        self._reason_reported = message


def _draining(slots: List[str]) -> str:
    number, plural = len(slots), len(slots) != 1
    what = "earlier processes are" if plural else "earlier process is"
    return "{} {} draining (slot{} {})".format(number, what, "s" if plural else "", ", ".join(slots))


def main() -> int:
    """Keep the worker of the launch file running."""
    try:
        keeper = Keeper(sys.argv[1], dict(os.environ))
    except Exception as error:
        print("{}: {}".format(os.environ.get("PROCMAN_PROGRAM") or "keeper", error), file=sys.stderr, flush=True)
        return EXIT_CANNOT_START
    return int(beside("keeper_signals").end_alike(keeper.run()))


if __name__ == "__main__":
    sys.exit(main())
