"""Notes in the event log what a person ordered, and which tasks were running then."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from procman.backends.base import Controller
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import Event, append_event
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, ProgramState
from procman.monitoring.hold import by_whom
from procman.monitoring.program_view import now, read_heartbeat


def tell_stop(manifest: Manifest, controller: Controller, programs: Sequence[InstalledProgram], action: str) -> None:
    """Note that PROGRAMS are about to be stopped, of those that run; what cannot be noted hinders no order."""
    running = [
        (program, state)
        for program, state in zip(programs, controller.states(programs), strict=True)
        if state.pid is not None
    ]
    with suppress(ProcmanError), Tree() as tree:
        for program, state in running:
            append_event(tree, manifest.directories.state, _stop(manifest, program, state, action))


def _stop(manifest: Manifest, program: InstalledProgram, state: ProgramState, action: str) -> Event:
    moment = now()
    says = read_heartbeat(manifest, program, state, moment).content or {}
    return Event(
        at=moment.wall,
        program=program.name,
        what="stopped",
        action=action,
        tasks=tuple(task["name"] for task in says.get("tasks", ())),
        by=by_whom(os.environ),
    )
