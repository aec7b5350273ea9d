"""Read the events of a project, merged from procman's log and those of its programs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import INSIDE, OVERLAPS, Event, own_events, untrusted_events
from procman.lookup import Installed
from procman.model import Kind
from procman.monitoring.ends import unlogged_events
from procman.monitoring.lost_events import unlogged_lost_events
from procman.monitoring.program_view import owners
from procman.program_names import resolve

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
        known, found = found, _all(installed, names)
        shown = {*known}
        # The command's event replaces that of the keeper, which may have been shown.
        overlaps = {_place(event) for event in known if _is_keepers(event)}
        yield from (event for event in found if event not in shown and _place(event) not in overlaps)


def _each_overlap_once(events: Sequence[Event]) -> list[Event]:
    """Return `events` without those of keepers about overlaps that a command ordered: its event has the same time."""
    ordered = {_place(event) for event in events if event.by != INSIDE}
    return [event for event in events if not (_is_keepers(event) and _place(event) in ordered)]


def _is_keepers(event: Event) -> bool:
    return event.by == INSIDE and event.what in OVERLAPS


def _place(event: Event) -> tuple[str, float]:
    return event.program, event.at


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
            for directory in manifest.directories.runs(program.name, program.overlap_max):
                found += untrusted_events(directory, program.name, owners(program.user))
    found = _each_overlap_once(found)
    with suppress(ProcmanError):
        found += unlogged_events(manifest, programs, found)
        found += unlogged_lost_events(manifest, programs, found)
    return sorted(found, key=lambda event: event.at)
