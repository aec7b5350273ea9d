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
    later: Collection[str] = (),
    reported: Collection[str] = (),
) -> BroughtUp | None:
    """Start the process manager if it is not running, and announce what comes up and what is left stopped.

    Programs that were stopped on purpose, and those in `held`, are not started, except those in `wanted`. Those in
    `later` are not started either; the caller does that. It also reports those in `wanted` and `reported`. Raises
    ProcmanError with the command that starts a process manager that is not procman's.
    """
    brought = controller.bring_up(wanted, {*held, *later})
    if brought is None:
        return None
    others = [name for name in brought.started if name not in {*wanted, *reported}]
    if others:
        announce(f"supervisord was not running; it was started, and with it {', '.join(others)}")
    on_purpose = [name for name in brought.held if name not in later]
    if on_purpose:
        announce(f"stopped on purpose, so not started: {', '.join(on_purpose)}")
        announce("  procman start NAME")
    return brought
