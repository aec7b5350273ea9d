"""Find out whether a server answers without TLS.

procman puts this text before those of app_backend_script.py and broker_establish_script.py.
"""

import socket

GREETING_SECONDS = 2.0

GREETINGS = {"amqp": b"AMQP\x00\x00\x09\x01", "redis": b"PING\r\n"}
"""By kombu's driver type: what a server answers at once if it expects no TLS."""
PLAIN_ANSWERS = (b"AMQP", b"\x01\x00\x00", b"+", b"-")


def answers_without_tls(host: str, port: int, greeting: bytes) -> bool:
    """Send `greeting`, which has no secret, and return whether a server without TLS answers it."""
    try:
        with socket.create_connection((host, port), timeout=GREETING_SECONDS) as server:
            server.sendall(greeting)
            return server.recv(16).startswith(PLAIN_ANSWERS)
    except OSError:
        return False
