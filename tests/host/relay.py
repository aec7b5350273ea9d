"""Relay connections: to a host's loopback interface, which programs of this machine do not reach, or to a broker."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .machine import Host

RELAY = """
import socket, sys, threading

listener = socket.socket(fileno=int(sys.argv[1]))


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


while True:
    client, _ = listener.accept()
    try:
        server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    except OSError:
        client.close()
        continue
    for ends in ((client, server), (server, client)):
        threading.Thread(target=copy, args=ends, daemon=True).start()
"""


@contextmanager
def relayed(port: int, host: Host | None = None, *, at: int = 0) -> Iterator[int]:
    """Yield a port of this machine, `at` unless that is 0, that leads to `port` of `host` or of this machine.

    At the end the connections are reset, and further ones are refused.
    """
    # A socket stays in the network in which it was made: this one here, and the relay's own in the host's.
    network = ["nsenter", f"--target={host.pid}", "--net", "--"] if host else []
    with socket.create_server(("127.0.0.1", at)) as listener:
        words = [*network, sys.executable, "-c", RELAY, str(listener.fileno()), str(port)]
        with subprocess.Popen(words, pass_fds=[listener.fileno()]) as relay:
            try:
                yield int(listener.getsockname()[1])
            finally:
                relay.kill()
