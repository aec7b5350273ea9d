"""Carry out activations: load, replace and unload programs of a supervisord whose sections have changed."""

from __future__ import annotations

from procman.backends.base import Progress
from procman.backends.supervisor.client import BAD_NAME, Client, Fault
from procman.backends.supervisor.graceful_stop import drain, stop_gracefully
from procman.backends.supervisor.reload import Reread, load, load_again, order_start, reread
from procman.backends.supervisor.states import desired
from procman.errors import ProcmanError
from procman.model import Action, Activation, InstalledProgram

NOT_STARTED = "loaded, not started (autostart = false)"


def activate(client: Client, activation: Activation, progress: Progress) -> str:
    """Load, replace or keep the program of `activation`, whose action is not REMOVE; return what was done."""
    program = activation.program
    differences = reread(client)
    info = client.infos([program.name])[program.name]
    asked_for = activation.desired
    if asked_for is None and info:
        asked_for = desired(info, autostart=program.autostart)
    if asked_for is False and program.autostart:
        # Loading a program with autostart would start it, if only for a moment (R11).
        return f"left stopped; start it with the new configuration with `procman start {program.name}`"
    if info is None:
        return _add(client, program, progress, start=bool(asked_for))
    if program.name in differences.removed:
        raise ProcmanError(
            f"{program.name}: supervisord no longer reads its section",
            hint=f"Check [include] in {client.main.path}, then run `procman install`.",
        )
    if activation.action is Action.ADD and program.name not in differences.changed:
        if asked_for and not info["start"]:
            order_start(client, program)
        return "was already loaded" if asked_for or info["start"] else NOT_STARTED
    done = _replace(client, activation, differences, progress, start=bool(asked_for))
    return "started" if asked_for and not info["start"] else done


def remove(client: Client, program: InstalledProgram, progress: Progress) -> str:
    """Stop `program` gracefully and unload it; return what was done."""
    try:
        stop_gracefully(client, {program.name: program.stop_timeout_seconds}, progress)
        client.call("removeProcessGroup", program.name)
    except Fault as fault:
        if fault.code != BAD_NAME:
            raise
        return "was already unloaded"
    return "stopped and unloaded"


def _add(client: Client, program: InstalledProgram, progress: Progress, *, start: bool) -> str:
    done = load(client, program, progress)
    if start or program.autostart:
        order_start(client, program)
    return "; ".join([*done, "added and started" if start or program.autostart else NOT_STARTED])


def _replace(client: Client, activation: Activation, differences: Reread, progress: Progress, *, start: bool) -> str:
    program, changed = activation.program, activation.program.name in differences.changed
    if start or changed:
        _stop_for(client, activation, progress, changed=changed)
    if changed:
        load_again(client, program.name)
    if start:
        order_start(client, program)
    return "restarted" if start else "left stopped"


def _stop_for(client: Client, activation: Activation, progress: Progress, *, changed: bool) -> None:
    program = activation.program
    loaded = activation.old_stop_timeout_seconds
    # No earlier generation had the program, so the loaded section may be an unmanaged one.
    is_unmanaged = changed and (loaded is None or activation.action is Action.ADD)
    is_shorter = loaded is not None and loaded < program.stop_timeout_seconds
    if is_unmanaged or is_shorter or activation.old_stop_signal is not None:
        drain(
            client,
            [program.name],
            program.stop_timeout_seconds,
            progress,
            user=program.user,
            stop_signal=program.stop_signal,
            is_own=not is_unmanaged,
        )
    else:
        stop_gracefully(client, {program.name: max(loaded or 0, program.stop_timeout_seconds)}, progress)
