"""Who reports the states of programs, and so which processes belong to them."""

from __future__ import annotations

from typing import NamedTuple


class Reporter(NamedTuple):
    """The process manager that reported a process."""

    address: str
    """Where it listens, for display."""
    user: int | None
    """The user that it runs as; None: unknown, as over TCP."""
    trusted: frozenset[int]
    """The users that it may run as."""
