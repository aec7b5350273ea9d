"""Distinguish a broker that is away from one that refuses the program, by the types of errors."""

from .light_typing import Optional

UNREACHABLE = (
    *("ConnectionError", "ConnectionRefusedError", "ConnectionResetError", "BrokenPipeError"),
    *("TimeoutError", "timeout", "gaierror", "RecoverableConnectionError", "BusyLoadingError"),
)
"""The types of errors, of Python, py-amqp and redis-py, with which a send fails while the broker is away."""

REFUSES = ("AccessRefused", "NotAllowed", "AuthenticationError", "AuthenticationWrongNumberOfArgsError")
"""The types of errors, of py-amqp and redis-py, with which a broker refuses a user, password or virtual host."""


def why_disconnected(error: Optional[str]) -> str:
    """Return the end of a sentence about a program that cannot connect; empty if the type of its `error` is unknown."""
    if error in REFUSES:
        return ": the broker refuses its user, password or virtual host ({})".format(error)
    return "; the last attempt to connect failed ({})".format(error) if error else ""
