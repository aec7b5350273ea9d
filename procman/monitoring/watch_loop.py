"""Watch a project: check it once, or repeatedly until its supervisord ends."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from procman.errors import ProcmanError
from procman.install.state.event_log import Event
from procman.lookup import installed_at
from procman.monitoring.checks.barrier import traceback_of
from procman.monitoring.event_hook import EventHook
from procman.monitoring.examine_in_time import Hanging
from procman.monitoring.heal import heal_programs
from procman.monitoring.supervisord_listener import listen

IDLE_SECONDS = 60.0
"""The interval while nothing is installed, because an uninstall is running."""

GARBAGE = 2_000
"""New objects before Python collects garbage, in a process that lives for months."""

LONGEST_SECONDS = 300
"""Longer than any check with its healing takes."""

Report = Callable[[Event], None]
Warn = Callable[[str], None]


def heal_once(state: Path, report: Report, warn: Warn) -> None:
    """Check once the project with its state in `state`; return when all `on_event` commands have ended."""
    hook = EventHook(warn)
    try:
        _, failures = _heal(state, hook, report, {})
        for failure in failures:
            warn(failure)
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
    hanging: Hanging = {}
    logged: set[str] = set()

    def one_look() -> float:
        nonlocal logged
        began = time.monotonic()
        # Its default action ends this process even if no Python code can run; supervisord then starts it again.
        signal.alarm(LONGEST_SECONDS)
        interval, failures = _heal_or_fail(state, hook, report, hanging)
        signal.alarm(0)
        for failure in failures:
            if failure not in logged:
                warn(failure)
        logged = set(failures)
        hook.reap()
        return max(0.1, interval - (time.monotonic() - began))

    gc.set_threshold(GARBAGE)
    listen(one_look, 0, protocol)


def _heal_or_fail(state: Path, hook: EventHook, report: Report, hanging: Hanging) -> tuple[float, Sequence[str]]:
    try:
        return _heal(state, hook, report, hanging)
    except ProcmanError as error:
        return IDLE_SECONDS, [f"{error.message}. {error.hint}"]
    except Exception as error:
        return IDLE_SECONDS, [traceback_of(error)]


def _heal(state: Path, hook: EventHook, report: Report, hanging: Hanging) -> tuple[float, Sequence[str]]:
    """Check once, and return the seconds until the next check, and the tracebacks of the checks that failed."""
    installed = installed_at(state)
    if installed is None:
        return IDLE_SECONDS, ()

    def report_and_call(event: Event) -> None:
        report(event)
        hook.call(installed.manifest, event)

    health = heal_programs(installed, report_and_call, hanging)
    return float(installed.manifest.health.interval_seconds), health.tracebacks
