"""Start a process manager that is not running, and report what comes up with it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from procman.backends.base import BroughtUp, Controller

TOGETHER = "started together with supervisord"


def bring_up(
    controller: Controller,
    announce: Callable[[str], None],
    *,
    wanted: Collection[str] = (),
    held: Collection[str] = (),
    reported: Collection[str] = (),
) -> BroughtUp | None:
    """Start the process manager if it is not running, and announce what comes up and what is left stopped.

    Programs that were stopped on purpose, and those in `held`, are not started, except those in `wanted`. The caller
    reports those in `wanted` and `reported`. Raises ProcmanError with the command that starts a process manager that is
    not procman's.
    """
    brought = controller.bring_up(wanted, held)
    if brought is None:
        return None
    others = [name for name in brought.started if name not in {*wanted, *reported}]
    if others:
        announce(f"supervisord was not running; it was started, and with it {', '.join(others)}")
    if brought.held:
        announce(f"stopped on purpose, so not started: {', '.join(brought.held)}")
        announce("  procman start NAME")
    return brought
