"""Notify systemd of the program's state as in sd_notify(3); without NOTIFY_SOCKET this does nothing."""

# gevent and eventlet do not patch _socket; a patched `socket` would switch greenlets.
import _socket
import os
from time import clock_gettime, monotonic
from typing import Mapping, Optional

READY_AFTER_SECONDS = 45.0
"""When a program that still waits for an import or a lock counts as started: half of the unit's TimeoutStartSec=."""
READY_AFTER = "PROCMAN_READY_AFTER_SECONDS"
"""The variable with which a drop-in that shortens TimeoutStartSec= can shorten it too."""

EXTENSION_SECONDS = 120.0
"""How long systemd should wait for the next message while the program waits; an import can hold Python's lock."""

NOTIFY_SOCKET = "PROCMAN_NOTIFY_SOCKET"
"""The variable by which a keeper passes its own socket to its workers, under a name that the tasks' libraries do not
know: what tasks run would otherwise report to it, too."""

CLOCK_BOOTTIME = 7  # linux/time.h; `time` has it from Python 3.7 on


class Systemd:
    """The notification socket of the systemd that started this process, if any."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get(NOTIFY_SOCKET) or environment.get("NOTIFY_SOCKET") or ""
        self.watchdog_seconds = _watchdog_seconds(environment) if self._address else None
        """How long systemd waits for a watchdog message; None: for ever."""
        self._waits = self.watchdog_seconds
        """The same, as changed by the messages so far."""
        self._ready_at = started() + ready_after(environment)

    @property
    def listens(self) -> bool:
        """Whether there is a notification socket."""
        return bool(self._address)

    def tell(self, *assignments: str) -> bool:
        """Send `assignments`, such as READY=1; return whether they were sent. Never blocks and never raises."""
        if not self._address:
            return False
        try:
            sender = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
            try:
                sender.setblocking(False)
                address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
                sender.sendto("\n".join(assignments).encode("utf-8", "replace"), address)
            finally:
                sender.close()
        except (OSError, ValueError):
            return False
        return True

    def tell_with_watchdog(self, seconds: Optional[float], *assignments: str) -> bool:
        """Send `assignments`, and make systemd wait `seconds` for each watchdog message from now on (0: for ever)."""
        words = [] if seconds == self._waits else [f"WATCHDOG_USEC={int((seconds or 0) * 1e6)}"]
        if not self.tell(*assignments, *words):
            return False
        self._waits = seconds
        return True

    def put_off(self, reason: str) -> bool:
        """Keep systemd from ending a program that is not up yet, and show `reason` as its status.

        A daemon-reload forgets EXTEND_TIMEOUT_USEC and counts TimeoutStartSec= from the start of the process again
        (systemd 252), so before that time is over, a program that still waits is reported as started.
        """
        if monotonic() < self._ready_at:
            return self.tell(f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS:.0f}000000", f"STATUS={reason}")
        patience = self.watchdog_seconds and max(self.watchdog_seconds, EXTENSION_SECONDS)
        return self.tell_with_watchdog(patience, "READY=1", "WATCHDOG=1", f"STATUS={reason}")

    def until_ready(self, seconds: float) -> float:
        """Return the time until `put_off` reports the start as finished, if it is less than `seconds`."""
        left = self._ready_at - monotonic()
        return min(seconds, left) if left > 0 else seconds


def started() -> float:
    """Return when this process was forked, by the monotonic clock; unlike the program, it lasts through every exec."""
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read(4096).rpartition(b")")[2].split()[19])
        return monotonic() - max(0.0, clock_gettime(CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return monotonic()


def ready_after(environment: Mapping[str, str]) -> float:
    """Return how long after its start a program that still waits counts as started."""
    try:
        return float(environment.get(READY_AFTER) or READY_AFTER_SECONDS)
    except ValueError:
        return READY_AFTER_SECONDS


def _watchdog_seconds(environment: Mapping[str, str]) -> Optional[float]:
    pid, microseconds = environment.get("WATCHDOG_PID"), environment.get("WATCHDOG_USEC") or ""
    if pid not in (None, "", str(os.getpid())) or not microseconds.isdigit():
        return None
    return int(microseconds[:15]) / 1e6 or None
