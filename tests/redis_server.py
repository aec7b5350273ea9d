"""A real Redis on a port of the loopback interface, for one test."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

STARTING_SECONDS = 120.0


@dataclass(frozen=True)
class Redis:
    """A running Redis."""

    port: int

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def ask(self, *words: object) -> str:
        """Send a command and return the beginning of the answer, as Redis writes it."""
        with self.connection() as ask:
            return ask(" ".join(map(str, words)))

    @contextmanager
    def connection(self) -> Iterator[Callable[[str], str]]:
        """Yield a function that sends a command on one connection, on which AUTH holds, as `ask` does."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=STARTING_SECONDS) as connection:

            def ask(command: str) -> str:
                connection.sendall(command.encode() + b"\r\n")
                return connection.recv(4096).decode().strip()

            yield ask


def free_port() -> int:
    """Return a port of the loopback interface on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running_redis(directory: Path) -> Iterator[Redis]:
    """Run a Redis that keeps nothing, with its log in `directory`."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server")
    port = free_port()
    words = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with (directory / "redis.log").open("wb") as log, subprocess.Popen(words, cwd=directory, stdout=log) as process:
        try:
            _wait_until_it_answers(Redis(port), process)
            yield Redis(port)
        finally:
            process.terminate()


def _wait_until_it_answers(redis: Redis, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    while True:
        try:
            if redis.ask("PING") == "+PONG":
                return
        except OSError:
            assert process.poll() is None, "redis-server exited"
        assert time.monotonic() < deadline, "redis-server does not answer"
        time.sleep(0.02)
