"""Reads `[health]`, and sees that its times go together."""

from __future__ import annotations

from procman.config import keys
from procman.config.document import Document
from procman.model import HealthSettings
from procman.secrets import words_hold_password

LEAST_HEARTBEATS = 2
"""Within each of these times at least so many heartbeats are due: a single late one is no failure."""


def read_settings(document: Document) -> HealthSettings:
    """Return what `[health]` says, complete; problems go to DOCUMENT."""
    settings = HealthSettings(**document.read_all(document.section("health"), "health", keys.HEALTH))
    if words_hold_password(settings.on_event):
        document.add_problem(
            "health.on_event", "it holds a password, and everybody on the host can read a command line: use a script"
        )
    _check_times(document, settings)
    return settings


def _check_times(document: Document, settings: HealthSettings) -> None:
    least = LEAST_HEARTBEATS * settings.heartbeat_seconds
    for name in ("stale_seconds", "watchdog_seconds"):
        value: int = getattr(settings, name)
        if value < least and document.is_valid(f"health.{name}") and document.is_valid("health.heartbeat_seconds"):
            document.add_problem(
                f"health.{name}",
                f"it is {value}, but heartbeat_seconds is {settings.heartbeat_seconds}: "
                f"write at least {least} here, or a smaller heartbeat_seconds",
            )
