"""Carries out activations: loads, replaces and unloads the programs of a supervisord as their sections changed."""

from __future__ import annotations

from procman.backends.base import Progress
from procman.backends.supervisor.client import BAD_NAME, Client, Fault
from procman.backends.supervisor.graceful_stop import drain, stop_gracefully
from procman.backends.supervisor.reload import Reread, load, load_again, order_start, reread
from procman.backends.supervisor.states import desired
from procman.errors import ProcmanError
from procman.model import Action, Activation, InstalledProgram


def activate(client: Client, activation: Activation, progress: Progress) -> str:
    """Load, replace or leave the program of `activation`, which is not to be removed; return what was done."""
    program = activation.program
    differences = reread(client)
    info = client.infos([program.name])[program.name]
    asked_for = activation.desired
    if asked_for is None and info:
        asked_for = desired(info, autostart=program.autostart)
    if asked_for is False and program.autostart:
        # supervisord starts an autostart program as soon as it is loaded, if only for a moment (R11).
        return f"left stopped; `procman start {program.name}` starts it as it is configured now"
    if info is None:
        return _add(client, program, progress, start=bool(asked_for))
    if program.name in differences.removed:
        raise ProcmanError(
            f"{program.name}: supervisord does not read its section any more",
            hint=f"See [include] in {client.main.path}, and run `procman install`.",
        )
    if activation.action is Action.ADD and program.name not in differences.changed:
        if asked_for and not info["start"]:
            order_start(client, program)
        return "was loaded already"
    return _replace(client, activation, differences, progress, start=bool(asked_for))


def remove(client: Client, program: InstalledProgram, progress: Progress) -> str:
    """Stop `program` gracefully and unload it; return what was done."""
    try:
        stop_gracefully(client, {program.name: program.stop_timeout_seconds}, progress)
        client.call("removeProcessGroup", program.name)
    except Fault as fault:
        if fault.code != BAD_NAME:
            raise
        return "was unloaded already"
    return "stopped and unloaded"


def _add(client: Client, program: InstalledProgram, progress: Progress, *, start: bool) -> str:
    done = load(client, program, progress)
    if start or program.autostart:
        order_start(client, program)
    return "; ".join([*done, "added and started" if start or program.autostart else "added, not started"])


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
    # No generation before had it: the section that is loaded may be somebody else's.
    somebody_elses = changed and (loaded is None or activation.action is Action.ADD)
    if somebody_elses or (loaded is not None and loaded < program.stop_timeout_seconds):
        drain(client, [program.name], program.stop_timeout_seconds, progress)
    else:
        stop_gracefully(client, {program.name: max(loaded or 0, program.stop_timeout_seconds)}, progress)
