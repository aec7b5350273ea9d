"""`procman events`: what was found, done and ordered about programs, from all logs of a project in one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from procman.commands.names import resolve
from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import Event, foreign_events, own_events
from procman.lookup import Installed
from procman.model import Kind
from procman.monitoring.program_view import owners

PAUSE_SECONDS = 1.0


def events(installed: Installed, names: Sequence[str], most: int, *, follow: bool) -> Iterator[Event]:
    """Yield the last MOST events of the programs that NAMES mean, oldest first; of the project too without names.

    To FOLLOW them, those that come are yielded as well, without end.
    """
    found = _all(installed, names)
    yield from found[len(found) - most :] if most < len(found) else found
    while follow:
        time.sleep(PAUSE_SECONDS)
        known, found = set(found), _all(installed, names)
        yield from (event for event in found if event not in known)


def _all(installed: Installed, names: Sequence[str]) -> list[Event]:
    manifest = installed.manifest
    programs = resolve(manifest.project, manifest.programs, names)
    wanted = {program.name for program in programs}
    with Tree() as tree:
        found = [
            event for event in own_events(tree, manifest.directories.state) if not names or event.program in wanted
        ]
    for program in programs:
        if program.launcher and program.kind is not Kind.COMMAND:
            found += foreign_events(manifest.directories.run(program.name), program.name, owners(program.user))
    return sorted(found, key=lambda event: event.at)
