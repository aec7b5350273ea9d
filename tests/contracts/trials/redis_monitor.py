"""What Redis was asked about messages: which it handed to a client that never noted there that it had them."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.redis_server import Redis

# kombu puts a message in a queue, and its `QoS.append` notes it in the hash `unacked`, as the first thing after BRPOP.
PUSHED = re.compile(r'^\S+ \[0 \S+\] "[LR]PUSH" ')
NOTED = re.compile(r'^\S+ \[0 \S+\] "HSET" "unacked" ')
TASK_ID = re.compile(r'\\"id\\": \\"([\w.-]+)\\"')


def never_noted(lines: Iterable[str]) -> Counter[str]:
    """Return how many messages of each task were put in a queue and never noted, from the output of MONITOR.

    If the queues are empty, Redis has handed these to clients, and no one has them.
    """
    left: Counter[str] = Counter()
    for line in lines:
        change = 1 if PUSHED.match(line) else -1 if NOTED.match(line) else 0
        if change and (found := TASK_ID.search(line)):
            left[found[1]] += change
    return +left


class Monitor:
    """The commands that a Redis has carried out."""

    def __init__(self, connection: socket.socket) -> None:
        self._lines: list[str] = []
        self._reader = connection.makefile(encoding="utf-8", errors="replace")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def lines(self, redis: Redis) -> list[str]:
        """Return all commands up to now."""
        mark = f"end-{len(self._lines)}"
        redis.ask("ECHO", mark)
        while not any(f'"{mark}"' in line for line in self._lines[-50:]):
            self._thread.join(0.05)
            assert self._thread.is_alive(), "Redis has closed the connection"
        return list(self._lines)

    def _read(self) -> None:
        for line in self._reader:
            # Of the others, most are polls.
            if "PUSH" in line or "HSET" in line or "ECHO" in line:
                self._lines.append(line.removeprefix("+"))


@contextmanager
def monitored(redis: Redis) -> Iterator[Monitor]:
    """Follow `redis` until the end."""
    with socket.create_connection(("127.0.0.1", redis.port)) as connection:
        connection.sendall(b"MONITOR\r\n")
        assert connection.recv(5) == b"+OK\r\n"
        try:
            yield Monitor(connection)
        finally:
            connection.shutdown(socket.SHUT_RDWR)
