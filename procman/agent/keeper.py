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
from typing import Any, Dict

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
REPORT_SECONDS = 10.0
"""How often its state is written even if nothing has changed: `procman health` reports a keeper that is frozen."""
PROVEN_SECONDS = 60.0
"""A worker that has run for so long is started again at once after its end."""
EXIT_CANNOT_START = 78


class Keeper:
    """The processes of one worker."""

    def __init__(self, launch_file: str, environment: Dict[str, str]) -> None:
        # All files are imported at once: an upgrade may replace them while the keeper runs.
        self._settings, self._run_files = beside("settings"), beside("run_files")
        self._signals, self._overlap = beside("keeper_signals"), beside("keeper_overlap")
        self._program = environment.get("PROCMAN_PROGRAM") or "keeper"
        self._relay = beside("keeper_notify").Relay(environment)
        self._processes = beside("keeper_processes").Processes(launch_file, environment, self._relay.address)
        self._overlaps = self._overlap.Overlaps(self._processes, self._relay, self.report, self._record)
        self._events, self._own = beside("own_events"), self._settings.read_settings(environment)
        self._path = os.path.join(self._processes.directory, beside("slots").STATE)
        self._ends = beside("keeper_ends").Ends(self._path)
        self._parent = int(environment.get("PROCMAN_PARENT_PID") or 0)
        self._stop_signal = 0
        self._is_limited = False
        self._status = 0
        self._written, self._write_at = "", 0.0
        self._reported = ""

    def report(self, message: str) -> None:
        """Write a line to the program's log."""
        self._settings.report(self._program, message)

    def _record(self, outcome: str, reason: str, at: float) -> None:
        """Write the event of an overlap; `at` is its identity, by which procman knows it from that of its command."""
        what = "overlapped" if outcome == self._overlap.DONE else "overlap failed"
        why = "refused: " + reason if outcome == self._overlap.REFUSED else reason
        self._events.record(self._own, self.report, what, reason=why, more={"at": at})

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
            self._overlaps.follow()
            self._processes.note_health()
            self._processes.kill_overdue(self.report)
            self._write_state()
            poll.poll(1000 * (BUSY_SECONDS if self._is_busy() else IDLE_SECONDS))
            for number in signals.received():
                self._handle(number)
            self._reap()
            self._relay_messages()
            self._look_at_parent()
        self._write_state()
        return self._status

    def _is_busy(self) -> bool:
        return bool(self._processes.successor or self._overlaps.is_asked)

    def _has_ended(self) -> bool:
        return self._processes.start_at is None and not self._processes.every()

    def _handle(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._overlaps.is_asked = not self._stop_signal
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
        self._stop_signal, self._processes.start_at, self._overlaps.is_asked = number, None, False
        processes = self._processes
        processes.release()
        if processes.successor:
            self._overlaps.end(self._overlap.FAILED, "the program is being stopped")
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
        processes = self._processes
        if processes.start_at is None or monotonic() < processes.start_at:
            return
        try:
            slot = processes.free_slot() if processes.hold() else None
        except OSError as error:
            self._give_up_start(error)
            return
        if slot is None:
            reason = processes.slot_problem or self._overlap.WAITING
            self._once(reason)
            self._relay.put_off(reason)
            return
        problem = processes.read_launch()
        if problem:
            self.report("{}; starting as before".format(problem))
        try:
            processes.current = processes.start(slot)
        except OSError as error:
            self._once("cannot start a process: {}; trying again".format(error.strerror))
            processes.start_at = monotonic() + processes.launch.restart_seconds
            return
        processes.start_at, self._reported = None, ""
        self._relay.extend()

    def _give_up_start(self, error: OSError) -> None:
        # No worker could start in this directory: its launcher needs a lock there, too, and ends with the same status.
        self._once(
            "cannot open the lock {}: {}; make its directory writable for uid {}, or run `procman install` if it is "
            "missing".format(error.filename, error.strerror, os.geteuid())
        )
        processes = self._processes
        processes.start_at = monotonic() + processes.launch.restart_seconds
        if not processes.every():
            processes.start_at, self._status = None, EXIT_CANNOT_START << 8

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
        processes = self._processes
        worker = next((each for each in processes.every() if each.pid == pid), None)
        if worker is None:
            return
        is_successor, is_current = worker is processes.successor, worker is processes.current
        processes.remove(worker)
        self._ends.note(worker, status, is_successor=is_successor, is_last=not processes.every())
        how = beside("keeper_ends").described(status)
        if is_successor:
            reason = "process {} ended ({}) before it was healthy".format(pid, how)
            self._overlaps.end(self._overlap.FAILED, reason)
        if (is_successor or is_current) and processes.current is None:
            self._status = status
            if processes.others and not (processes.successor or self._stop_signal):
                now, is_proven = monotonic(), monotonic() - worker.started >= PROVEN_SECONDS
                seconds = 0.0 if is_proven else processes.launch.restart_seconds
                processes.start_at = now + seconds
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
        if draining and not is_fed:
            self._relay.feed("{}; {} draining".format("stopping" if self._stop_signal else "starting", draining))

    def _write_state(self) -> None:
        """Describe the processes for procman, whenever something changes, and as a sign of life."""
        state = {"format": 1, "pid": os.getpid(), "overlap": self._overlaps.last, "ends": self._ends.noted}
        state["overlap_failed"] = self._overlaps.failed
        state.update(self._processes.described())
        text, now = json.dumps(state), monotonic()
        if text == self._written and now < self._write_at and os.path.lexists(self._path):
            return
        if not self._processes.may_report():
            return
        try:
            self._run_files.replace(self._path, json.dumps({**state, "written": now}))
        except OSError as error:
            self._once("cannot write {}: {}".format(self._path, error.strerror))
        else:
            self._written, self._write_at = text, now + REPORT_SECONDS

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
