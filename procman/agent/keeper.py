"""Keep a worker running whose successor starts before it stops: the parent of its processes.

    VIRTUALENV/bin/python -I -S -B keeper.py LAUNCH_FILE

The process manager starts this file for a worker with `overlap = true`, and it starts the worker through the launcher,
as the launch file describes. It passes on every signal but two: on HUP it starts a successor, and once that consumes,
the earlier process drains; on SIGRTMIN it stops those that drain. It exits after its last process, in the way in which
that ended, so that the process manager sees what it would see of a worker alone.

One thread, the standard library, and few modules of it: a keeper runs as long as its worker does.
"""

import importlib
import json
import os
import select
import signal
import sys
import types
from time import monotonic
from typing import Any, Dict, Optional

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

WAITING = "waiting for an earlier process of the same program to exit"
BEGUN, DONE, FAILED, REFUSED = "begun", "done", "failed", "refused"


class Keeper:
    """The processes of one worker."""

    def __init__(self, launch_file: str, environment: Dict[str, str]) -> None:
        self._signals, self._launches = beside("keeper_signals"), beside("keeper_launch")
        self._program = environment.get("PROCMAN_PROGRAM") or "keeper"
        self._relay = beside("keeper_notify").Relay(environment)
        self._processes = beside("keeper_processes").Processes(launch_file, environment, self._relay.address)
        self._states = beside("keeper_worker")
        self._parent = int(environment.get("PROCMAN_PARENT_PID") or 0)
        self._start_at: Optional[float] = monotonic()
        self._stop_signal = 0
        self._is_limited = False
        self._is_asked = False
        self._deadline = 0.0
        self._overlap: Dict[str, Any] = {"number": 0, "outcome": DONE, "reason": "", "since": monotonic()}
        self._status = 0
        self._written = ""
        self._reported = ""

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
            self._processes.kill_overdue(self.report)
            self._write_state()
            poll.poll(1000 * (BUSY_SECONDS if self._processes.successor or self._is_asked else IDLE_SECONDS))
            for number in signals.received():
                self._handle(number)
            self._reap()
            self._relay_messages()
            self._look_at_parent()
        self._write_state()
        return self._status

    def _has_ended(self) -> bool:
        return self._start_at is None and not self._processes.every()

    def _handle(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._is_asked = not self._stop_signal
        elif number == STOP_DRAINING:
            for worker in self._processes.others:
                worker.stop(within=self._processes.launch.stop_timeout_seconds)
        elif number in STOPS:
            self._stop(number)
        elif number != signal.SIGCHLD:
            for worker in self._processes.every():
                worker.send(number)

    def _stop(self, number: int, *, has_limit: bool = True) -> None:
        """Stop every process. If it has a limit, the process manager kills those that are left at the end of that."""
        is_first, self._is_limited = not self._is_limited, self._is_limited or has_limit
        self._stop_signal, self._start_at, self._is_asked = number, None, False
        processes = self._processes
        processes.release()
        if processes.successor:
            self._end_overlap(FAILED, "the program is being stopped")
            processes.others.append(processes.successor)
            processes.successor = None
        if self._signals.is_from_terminal(number):
            return
        for worker in processes.every():
            if not has_limit:
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
        processes = self._processes
        slot = processes.free_slot() if processes.hold() else None
        if slot is None:
            self._once(WAITING)
            self._relay.put_off(WAITING)
            return
        problem = processes.read_launch()
        if problem:
            self.report("{}; starting as before".format(problem))
        try:
            processes.current = processes.start(slot)
        except OSError as error:
            self._once("cannot start a process: {}; trying again".format(error.strerror))
            self._start_at = monotonic() + processes.launch.restart_seconds
            return
        self._start_at, self._reported = None, ""
        self._relay.extend()

    # Overlaps --------------------------------------------------------------------------------------------------------

    def _follow_overlap(self) -> None:
        if self._processes.successor:
            self._judge_successor(self._processes.successor)
        elif self._is_asked:
            self._is_asked = False
            self._overlap = {
                "number": self._overlap["number"] + 1,
                "outcome": BEGUN,
                "reason": "",
                "since": monotonic(),
            }
            self._begin_overlap()
        current = self._processes.current
        if current and current.state == self._states.STARTING and current.is_healthy(STALE_SECONDS):
            current.enter(self._states.CONSUMING)

    def _begin_overlap(self) -> None:
        processes = self._processes
        problem = processes.read_launch() if processes.hold() else WAITING
        draining, slot = processes.draining(), processes.free_slot()
        if problem:
            self._end_overlap(FAILED, problem)
        elif slot is None or (processes.current and len(draining) >= processes.launch.overlap_max):
            self._end_overlap(REFUSED, processes.listed(draining))
        else:
            self._start_successor(slot)

    def _start_successor(self, slot: str) -> None:
        processes = self._processes
        try:
            successor = processes.start(slot)
        except OSError as error:
            self._end_overlap(FAILED, "cannot start a process: {}".format(error.strerror))
            return
        # It also takes the place of one that has ended and would be started again.
        processes.successor, self._start_at = successor, None
        self._deadline = monotonic() + processes.launch.overlap_seconds
        self.report("overlap restart: process {} starts in slot {}".format(successor.pid, slot))

    def _judge_successor(self, worker: Any) -> None:
        processes = self._processes
        earlier = processes.current
        if worker.is_healthy(STALE_SECONDS):
            worker.enter(self._states.CONSUMING)
            self._promote(worker)
            if earlier:
                processes.others.append(earlier)
                earlier.drain()
            self._end_overlap(DONE, "")
        elif monotonic() > self._deadline:
            seconds, condition = processes.launch.overlap_seconds, worker.condition()
            if earlier:
                processes.successor = None
                processes.others.append(worker)
                worker.stop(within=processes.launch.stop_timeout_seconds)
            else:
                self._promote(worker)
            reason = "process {} did not become healthy within {:g} s".format(worker.pid, seconds)
            self._end_overlap(FAILED, reason + (": " + condition if condition else ""))

    def _promote(self, successor: Any) -> None:
        self._processes.current, self._processes.successor = successor, None
        self._relay.follow(successor.watchdog)

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
        processes, how = self._processes, self._launches.described(status)
        processes.others = [worker for worker in processes.others if worker.pid != pid]
        if processes.successor and processes.successor.pid == pid:
            processes.successor = None
            self._end_overlap(FAILED, "process {} ended ({}) before it was healthy".format(pid, how))
        elif processes.current and processes.current.pid == pid:
            processes.current = None
        else:
            return
        if processes.current is None:
            self._status = status
            if processes.others and not (processes.successor or self._stop_signal):
                seconds = processes.launch.restart_seconds
                self._start_at = monotonic() + seconds
                self.report("process {} ended ({}); starting it again in {:g} s".format(pid, how, seconds))

    # systemd and procman ---------------------------------------------------------------------------------------------

    def _relay_messages(self) -> None:
        processes = self._processes
        draining = len(processes.others)
        for pid, assignments in self._relay.received():
            for worker in (each for each in processes.every() if each.pid == pid):
                worker.note_report(assignments)
                if worker is processes.current:
                    self._relay.forward(assignments, draining=draining, is_stopping=bool(self._stop_signal))
        is_fed = processes.current is not None and processes.current.is_ready
        if draining and not self._stop_signal and not is_fed:
            self._relay.feed("starting; {} draining".format(draining))

    def _write_state(self) -> None:
        """Describe the processes for procman, whenever something changes."""
        state = {"format": 1, "pid": os.getpid(), "overlap": self._overlap}
        text = json.dumps({**state, **self._processes.described()})
        if text == self._written:
            return
        path = os.path.join(self._processes.directory, beside("slots").STATE)
        try:
            beside("run_files").replace(path, text)
        except OSError as error:
            self._once("cannot write {}: {}".format(path, error.strerror))
        else:
            self._written = text

    def _once(self, message: str) -> None:
        if self._reported != message:
            self.report(message)
        self._reported = message


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
