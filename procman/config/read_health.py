"""Read `[health]`, and check that its times fit together."""

from __future__ import annotations

from procman.config import keys
from procman.config.document import Document
from procman.model import HealthSettings
from procman.secrets import words_hold_password

LEAST_HEARTBEATS = 2
"""Heartbeats that must be due within each of these times, so that a single late one is not a failure."""


def read_settings(document: Document) -> HealthSettings:
    """Return the settings of `[health]` with all defaults, and note problems in `document`."""
    settings = HealthSettings(**document.read_all(document.section("health"), "health", keys.HEALTH))
    if words_hold_password(settings.on_event):
        document.add_problem(
            "health.on_event",
            "it contains a password, and every user of the host can read a command line: use a script",
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
                f"{value} is less than twice heartbeat_seconds ({settings.heartbeat_seconds}): "
                f"set it to at least {least}, or lower heartbeat_seconds",
            )
