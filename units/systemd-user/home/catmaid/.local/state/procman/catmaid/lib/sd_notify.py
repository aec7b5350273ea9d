"""Tell systemd how the program is, as sd_notify(3) has it; where no NOTIFY_SOCKET is set, nothing happens."""

# From _socket, which gevent and eventlet leave as it is: `socket` would come to switch greenlets.
import _socket
import os
from typing import Mapping, Optional

EXTENSION_SECONDS = 120
"""By how much each message puts off the end of the start, while an import or a lock is waited for."""


class Systemd:
    """The process manager that started this process, as far as it listens."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET") or ""
        self.watchdog_seconds = _watchdog_seconds(environment) if self._address else None
        """How long it waits for a sign of life; None: for ever."""

    @property
    def listens(self) -> bool:
        """Whether anybody does."""
        return bool(self._address)

    def tell(self, *assignments: str) -> bool:
        """Send ASSIGNMENTS, such as READY=1; say whether they are on their way. Never blocks and never raises."""
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
        """Ask for more time to start, because of REASON."""
        return self.tell(f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS}000000", f"STATUS={reason}")


def _watchdog_seconds(environment: Mapping[str, str]) -> Optional[float]:
    pid, microseconds = environment.get("WATCHDOG_PID"), environment.get("WATCHDOG_USEC") or ""
    if pid not in (None, "", str(os.getpid())) or not microseconds.isdigit():
        return None
    return int(microseconds[:15]) / 1e6 or None
