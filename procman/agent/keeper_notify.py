"""Pass on what the worker of a keeper reports to systemd, as the keeper's own word; without systemd, do nothing."""

import _socket
import os
import struct
from typing import Any, List, Mapping, Optional, Tuple

from .sd_notify import EXTENSION_SECONDS, Systemd

CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)
MOST_BYTES = 4096
FORWARDED = ("READY", "STATUS", "EXTEND_TIMEOUT_USEC", "WATCHDOG", "WATCHDOG_USEC", "STOPPING")
"""Never MAINPID: the main process stays the keeper."""


class Relay:
    """The socket to which the keeper's processes report, and that of systemd."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._systemd = Systemd(environment)
        self._watchdog = environment.get("WATCHDOG_USEC") or ""
        self._socket = _listen() if self._systemd.listens else None
        self.address = _address(self._socket) if self._socket is not None else ""
        """The NOTIFY_SOCKET of the keeper's processes; empty: none."""

    def fileno(self) -> Optional[int]:
        """Return the descriptor to poll, if there is one."""
        return None if self._socket is None else int(self._socket.fileno())

    def received(self) -> List[Tuple[int, List[str]]]:
        """Return the messages that have arrived: the sender's pid, and its assignments."""
        found = []
        while self._socket is not None:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(MOST_BYTES, 256)
            except (BlockingIOError, InterruptedError):
                break
            pid = _sender(ancillary)
            if pid is not None:
                found.append((pid, data.decode("utf-8", "replace").split("\n")))
        return found

    def forward(self, assignments: List[str], *, draining: int, is_stopping: bool) -> None:
        """Pass on the `assignments` of the worker that counts; `draining` others are draining."""
        words = []
        for each in assignments:
            name, _, value = each.partition("=")
            if name not in FORWARDED or (name == "STOPPING" and draining and not is_stopping):
                continue
            words.append("{}={}{}".format(name, value, _also(draining) if name == "STATUS" else ""))
        if words:
            self._systemd.tell(*words)

    def follow(self, watchdog: str) -> None:
        """Use the WATCHDOG_USEC of the worker that counts from now on; empty: that of the unit."""
        if self._watchdog:
            self._systemd.tell("WATCHDOG_USEC=" + (watchdog or self._watchdog), "WATCHDOG=1")

    def feed(self, status: str = "") -> None:
        """Keep the watchdog quiet while no worker does: one starts beside others that drain, or only those are left."""
        self._systemd.tell("WATCHDOG=1", *(["STATUS=" + status] if status else []))

    def put_off(self, reason: str) -> None:
        """Keep systemd from ending a start that has to wait."""
        self._systemd.put_off(reason)

    def extend(self) -> None:
        """Give a process that has only just been started time to report by itself."""
        self._systemd.tell("EXTEND_TIMEOUT_USEC={:.0f}000000".format(EXTENSION_SECONDS))


def _also(draining: int) -> str:
    return "; {} draining".format(draining) if draining else ""


def _listen() -> Any:
    listening = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    listening.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
    # An abstract address that the kernel chooses (unix(7)): a path could be longer than a socket allows.
    listening.bind("")
    return listening


def _address(listening: Any) -> str:
    name = listening.getsockname()
    return "@" + os.fsdecode(name[1:])


def _sender(ancillary: Any) -> Optional[int]:
    for level, kind, data in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_CREDENTIALS and len(data) >= CREDENTIALS.size:
            return int(CREDENTIALS.unpack(data[: CREDENTIALS.size])[0])
    return None
