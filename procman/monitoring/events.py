"""Read the events of a project, merged from procman's log and those of its programs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from procman.backends.base import Controller
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import Event, append_event, own_events, tasks_of, untrusted_events
from procman.install.state.manifest import Manifest
from procman.lookup import Installed, resolve
from procman.model import InstalledProgram, Kind, ProgramState
from procman.monitoring.hold import invoking_user
from procman.monitoring.program_view import now, owners, read_heartbeat

PAUSE_SECONDS = 1.0


def events(
    installed: Installed, names: Sequence[str], most: int | None, since: float = 0.0, *, follow: bool
) -> Iterator[Event]:
    """Yield the events of the programs in `names` from `since` on, oldest first; without names, of the project, too.

    Of these, at most the last `most`. With `follow`, new events are yielded as well, without end.
    """
    found = _all(installed, names)
    asked_for = [event for event in found if event.at >= since]
    yield from asked_for if most is None or most >= len(asked_for) else asked_for[len(asked_for) - most :]
    while follow:
        time.sleep(PAUSE_SECONDS)
        known, found = set(found), _all(installed, names)
        yield from (event for event in found if event not in known)


def _all(installed: Installed, names: Sequence[str]) -> list[Event]:
    manifest = installed.manifest
    programs = resolve(manifest.project, manifest.programs, names)
    desired = {program.name for program in programs}
    with Tree() as tree:
        found = [
            event for event in own_events(tree, manifest.directories.state) if not names or event.program in desired
        ]
    for program in programs:
        if program.launcher and program.kind is not Kind.COMMAND:
            found += untrusted_events(manifest.directories.run(program.name), program.name, owners(program.user))
    return sorted(found, key=lambda event: event.at)


def log_stop(manifest: Manifest, controller: Controller, programs: Sequence[InstalledProgram], action: str) -> None:
    """Log that those of `programs` that run are about to be stopped; a log that cannot be written prevents no stop."""
    states = controller.states(programs)
    with suppress(ProcmanError), Tree() as tree:
        for program, state in zip(programs, states, strict=True):
            if state.pid is not None:
                append_event(tree, manifest.directories.state, _stop(manifest, program, state, action))


def _stop(manifest: Manifest, program: InstalledProgram, state: ProgramState, action: str) -> Event:
    moment = now()
    says = read_heartbeat(manifest, program, state, moment).content or {}
    return Event(
        at=moment.wall,
        program=program.name,
        what="stopped",
        action=action,
        **tasks_of(says),
        by=invoking_user(os.environ),
    )
