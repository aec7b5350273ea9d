"""Has a project looked after: once, or for as long as its supervisord lives."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

from procman.errors import ProcmanError
from procman.install.state.event_log import Event
from procman.lookup import installed_at
from procman.monitoring.event_hook import Teller
from procman.monitoring.heal import heal_programs
from procman.monitoring.supervisord_listener import listen

IDLE_SECONDS = 60.0
"""How long to wait where there is nothing to look at: it is just being uninstalled."""

GARBAGE = 2_000
"""Objects made before Python looks for garbage, in a process that lives for months."""

Told = Callable[[Event], None]
Warn = Callable[[str], None]


def heal_once(state: Path, told: Told, warn: Warn) -> None:
    """Look once at the project that has its state in STATE; return when all who are told of events have ended."""
    teller = Teller(warn)
    try:
        _heal(state, teller, told)
    finally:
        teller.wait()


def keep_healing(state: Path, told: Told, warn: Warn) -> None:
    """Look again and again, as an event listener; return when supervisord is gone.

    What goes wrong is said and the next look comes all the same.
    """
    protocol = os.dup(1)
    # What anything prints must not reach supervisord, which would take it for a breach of the protocol.
    os.dup2(2, 1)
    teller = Teller(warn)
    said = ""

    def one_look() -> float:
        nonlocal said
        began = time.monotonic()
        try:
            interval = _heal(state, teller, told)
            said = ""
        except ProcmanError as error:
            interval = IDLE_SECONDS
            if error.message != said:
                said = error.message
                warn(f"{error.message}. {error.hint}")
        teller.reap()
        return max(0.1, interval - (time.monotonic() - began))

    gc.set_threshold(GARBAGE)
    listen(one_look, 0, protocol)


def _heal(state: Path, teller: Teller, told: Told) -> float:
    """Look once and return after how many seconds the next look is due."""
    installed = installed_at(state)
    if installed is None:
        return IDLE_SECONDS

    def tell(event: Event) -> None:
        told(event)
        teller.tell(installed.manifest, event)

    heal_programs(installed, tell)
    return float(installed.manifest.health.interval_seconds)
