"""Find the TCP ports that processes listen on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from procman.host.process import content

LISTEN = b"0A"
"""The state of a listening socket in /proc/PID/net/tcp (proc(5))."""
CHOSEN_BY_KERNEL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def fixed_ports(pids: Iterable[int]) -> tuple[int, ...]:
    """Return the TCP ports on which `pids` listen, without those that the kernel may have chosen (port 0).

    Only root sees those of other users' processes.
    """
    first, last = map(int, CHOSEN_BY_KERNEL.read_text("ascii").split())
    ports = {port for pid in pids for port in _ports(pid)}
    return tuple(sorted(port for port in ports if not first <= port <= last))


def _ports(pid: int) -> set[int]:
    sockets, found = _sockets(pid), set()
    for table in ("net/tcp", "net/tcp6"):
        with suppress(OSError):
            for words in map(bytes.split, content(pid, table).splitlines()[1:]):
                if words[3] == LISTEN and words[9] in sockets:
                    found.add(int(words[1].rpartition(b":")[2], 16))
    return found


def _sockets(pid: int) -> set[bytes]:
    """Return the inodes of the sockets that a process has open; none without permission."""
    found = set()
    with suppress(OSError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                kind, _, inode = str(file.readlink()).partition(":")
                found |= {inode.strip("[]").encode()} if kind == "socket" else set()
    return found
