"""Watch a project: check it once, or repeatedly until its supervisord ends."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

from procman.errors import ProcmanError
from procman.install.state.event_log import Event
from procman.lookup import installed_at
from procman.monitoring.event_hook import EventHook
from procman.monitoring.heal import heal_programs
from procman.monitoring.supervisord_listener import listen

IDLE_SECONDS = 60.0
"""The interval while nothing is installed, because an uninstall is running."""

GARBAGE = 2_000
"""New objects before Python collects garbage, in a process that lives for months."""

Report = Callable[[Event], None]
Warn = Callable[[str], None]


def heal_once(state: Path, report: Report, warn: Warn) -> None:
    """Check once the project with its state in `state`; return when all `on_event` commands have ended."""
    hook = EventHook(warn)
    try:
        _heal(state, hook, report)
    finally:
        hook.wait()


def keep_healing(state: Path, report: Report, warn: Warn) -> None:
    """Check the project repeatedly, as an event listener; return when supervisord ends.

    A check that fails is logged, once for the same error, and the next one follows.
    """
    protocol = os.dup(1)
    # Any other output would be an error in the protocol for supervisord.
    os.dup2(2, 1)
    hook = EventHook(warn)
    last = ""

    def one_look() -> float:
        nonlocal last
        began = time.monotonic()
        try:
            interval = _heal(state, hook, report)
            last = ""
        except ProcmanError as error:
            interval = IDLE_SECONDS
            if error.message != last:
                last = error.message
                warn(f"{error.message}. {error.hint}")
        hook.reap()
        return max(0.1, interval - (time.monotonic() - began))

    gc.set_threshold(GARBAGE)
    listen(one_look, 0, protocol)


def _heal(state: Path, hook: EventHook, report: Report) -> float:
    """Check once, and return the seconds until the next check."""
    installed = installed_at(state)
    if installed is None:
        return IDLE_SECONDS

    def report_and_call(event: Event) -> None:
        report(event)
        hook.call(installed.manifest, event)

    heal_programs(installed, report_and_call)
    return float(installed.manifest.health.interval_seconds)
