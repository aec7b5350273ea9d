"""One process of an overlapping worker, as its keeper sees it."""

import json
import os
import signal
from time import monotonic, time
from typing import Any, Dict, Iterable, List, NoReturn, Optional

from . import slots

HEARTBEAT = "heartbeat.json"
MOST_BYTES = 65536
RESET = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores them, and an ignored signal stays so in the program that it executes."""

STARTING, CONSUMING, DRAINING, STOPPING = "starting", "consuming", "draining", "stopping"


class Worker:
    """A running process in a slot."""

    def __init__(self, slot: str, directory: str, words: List[str], environment: Dict[str, str]) -> None:
        self.slot, self.directory = slot, directory
        self.state = STARTING
        self.started = self.since = monotonic()
        self.started_wall = time()
        self.is_ready = False
        """Whether it has reported READY=1 to systemd's socket."""
        self.watchdog = ""
        """The WATCHDOG_USEC that it has reported; empty: none."""
        self.kill_at: Optional[float] = None
        """When it is killed, because the process manager does not watch its stop."""
        self.is_killed = False
        """Whether it was killed for that."""
        for name in (slots.DRAINING, slots.STOP):
            _remove(os.path.join(directory, name))
        self.pid = _start(words, environment)

    def enter(self, state: str) -> None:
        """Note what it does from now on."""
        if self.state != state:
            self.state, self.since = state, monotonic()

    def note_report(self, assignments: List[str]) -> None:
        """Note what it has reported to systemd's socket."""
        for each in assignments:
            name, _, value = each.partition("=")
            self.is_ready = self.is_ready or each == "READY=1"
            self.watchdog = value if name == "WATCHDOG_USEC" else self.watchdog

    def is_healthy(self, stale_seconds: float) -> bool:
        """Return whether its latest heartbeat shows that it consumes."""
        heartbeat = self._heartbeat()
        try:
            return (
                heartbeat.get("pid") == self.pid
                and monotonic() - float(heartbeat["written"]) <= stale_seconds
                and heartbeat["phase"] == CONSUMING
                and heartbeat["ready"] is not False
                and heartbeat["verdict"].get("level") != "CRITICAL"
            )
        except (LookupError, ValueError, TypeError, AttributeError):
            return False

    def condition(self) -> str:
        """Return what its latest heartbeat shows, for messages; empty if there is none."""
        heartbeat = self._heartbeat()
        if heartbeat.get("pid") != self.pid:
            return ""
        verdict = heartbeat.get("verdict")
        return str(verdict.get("reason") or "")[:200] if isinstance(verdict, dict) else ""

    def _heartbeat(self) -> Dict[str, Any]:
        try:
            with open(os.path.join(self.directory, HEARTBEAT), "rb") as file:
                found = json.loads(file.read(MOST_BYTES).decode("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    # Its end ---------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Let it return what it has not started, and finish its running tasks, however long they take."""
        try:
            descriptor = os.open(self._mark(), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            os.close(descriptor)
        except OSError:
            pass  # a full disk: it hands back at its stop timeout, and finishes what it can
        self.enter(DRAINING)
        self.send(signal.SIGTERM)

    def stop(self, number: int = signal.SIGTERM, within: Optional[float] = None) -> None:
        """Stop it by a signal; `within` seconds, unless the process manager has a timeout of its own."""
        _remove(self._mark())
        if within is not None and self.kill_at is None:
            self.kill_at = monotonic() + within
        self.enter(STOPPING)
        self.send(number)

    def send(self, number: int) -> None:
        """Send it a signal. It is not reaped yet, so the pid is its own."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        """Kill it with all processes below it: its pool could run on."""
        self.kill_at, self.is_killed = None, True
        for pid in [*_below(self.pid), self.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _mark(self) -> str:
        return os.path.join(self.directory, slots.DRAINING)

    def described(self) -> Dict[str, Any]:
        """Return its entry in the keeper's state."""
        return {
            "slot": self.slot,
            "pid": self.pid,
            "state": self.state,
            "started": self.started,
            "since": self.since,
        }


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # it does not exist; or the file system has become read-only, and the signal counts


def _start(words: List[str], environment: Dict[str, str]) -> int:
    # Until it executes the worker, the child has the keeper's handlers and its pipe for signals: a signal meant for the
    # child alone would reach the keeper, which would take it for its own.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    try:
        pid = os.fork()
        if pid == 0:
            _become(words, environment, mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _become(words: List[str], environment: Dict[str, str], mask: Iterable[int]) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in signal.Signals:
            if number in RESET or callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        # A link in this path may lead to another release than when the keeper was started in it.
        os.chdir(environment.get("PROCMAN_DIRECTORY", "."))
        os.execve(words[0], words, environment)  # noqa: S606  # the command of the launch file
    except OSError as error:
        os.write(2, "cannot run {}: {}\n".format(words[0], error).encode("utf-8", "replace"))
    finally:
        os._exit(78)


def _below(pid: int) -> List[int]:
    """Return the pids of all processes below `pid`."""
    parents: Dict[int, List[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/{}/stat".format(name), "rb") as file:
                    parent = int(file.read(4096).rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(name))
    found, left = [], [pid]
    while left:
        below = parents.get(left.pop(), [])
        found += below
        left += below
    return found
