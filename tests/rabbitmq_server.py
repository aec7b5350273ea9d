"""A real RabbitMQ on a port of the loopback interface, for the tests of a module; it needs root and Debian's packages.

It runs from the layer of the booted hosts (tests/host/packages.py), and without a systemd of its own.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.host.overlay import Overlay
from tests.host.packages import layer
from tests.redis_server import free_port

STARTING_SECONDS = 120.0


@dataclass(frozen=True)
class RabbitMQ:
    """A running RabbitMQ; its account is `guest`, which clients assume."""

    port: int

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self.port}//"


@contextmanager
def running_rabbitmq() -> Iterator[RabbitMQ]:
    """Run a RabbitMQ whose files are gone at the end. Raises HostError if this machine cannot."""
    with Overlay(layer()) as overlay:
        port = free_port()
        variables = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "RABBITMQ_NODENAME": f"port{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port()),
        }
        words = ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), "rabbitmq-server"]
        quiet = subprocess.DEVNULL
        # The overlay ends it with all its children.
        with subprocess.Popen(overlay.entering(words), stdin=quiet, stdout=quiet, stderr=quiet) as server:
            try:
                _wait_until_it_answers(port, server)
                yield RabbitMQ(port)
            finally:
                server.kill()


def _wait_until_it_answers(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    while not _answers(port):
        assert server.poll() is None, "rabbitmq-server exited"
        assert time.monotonic() < deadline, "rabbitmq-server does not answer"
        time.sleep(0.1)


def _answers(port: int) -> bool:
    """Return whether RabbitMQ answers, to what it does not understand, with the protocol that it speaks."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=STARTING_SECONDS) as connection:
            connection.sendall(b"AMQP\0\0\0\0")
            return connection.recv(4) == b"AMQP"
    except OSError:
        return False
