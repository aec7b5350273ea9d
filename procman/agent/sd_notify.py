"""Notify systemd of the program's state as in sd_notify(3); without NOTIFY_SOCKET this does nothing."""

# gevent and eventlet do not patch _socket; a patched `socket` would switch greenlets.
import _socket
import os
from typing import Mapping, Optional

EXTENSION_SECONDS = 120
"""How much more time to start each message requests, while the program waits for an import or a lock."""


class Systemd:
    """The notification socket of the systemd that started this process, if any."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET") or ""
        self.watchdog_seconds = _watchdog_seconds(environment) if self._address else None
        """How long systemd waits for a watchdog message; None: for ever."""

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

    def put_off(self, reason: str) -> bool:
        """Request more time to start, and show `reason` as the status."""
        return self.tell(f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS}000000", f"STATUS={reason}")


def _watchdog_seconds(environment: Mapping[str, str]) -> Optional[float]:
    pid, microseconds = environment.get("WATCHDOG_PID"), environment.get("WATCHDOG_USEC") or ""
    if pid not in (None, "", str(os.getpid())) or not microseconds.isdigit():
        return None
    return int(microseconds[:15]) / 1e6 or None
