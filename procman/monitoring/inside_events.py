"""Find the events of the programs themselves that are passed to `on_event`, once each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from procman.install.state.event_log import OVERLAPS, Event, untrusted_events
from procman.install.state.manifest import Manifest
from procman.model import Kind
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.healing_history import HealingHistory
from procman.monitoring.program_view import Moment, owners

PASSED_ON = ("missed", "handed-back", "not-returned", "lost", *OVERLAPS)
"""The events that no check of procman reports in other words; those of self-healing have a problem that it finds."""

HOUR_SECONDS = 3600.0


def new_inside_events(
    manifest: Manifest, snapshots: Sequence[ProgramSnapshot], history: HealingHistory, moment: Moment
) -> Mapping[str, tuple[Event, ...]]:
    """Return the events that were not passed on yet, by program; at the first check of a boot, those since the boot.

    None is older than an hour: the watcher may have been installed later than the program.
    """
    passed = {case.program: case.inside for case in history.cases}
    recent = max(moment.wall - moment.monotonic, moment.wall - HOUR_SECONDS)
    found = {}
    for program in (snapshot.program for snapshot in snapshots):
        if program.launcher and program.kind is not Kind.COMMAND:
            since = max(passed.get(program.name, 0.0), recent)
            directories = manifest.directories.runs(program.name, program.overlap_max)
            own = [
                event
                for directory in directories
                for event in untrusted_events(directory, program.name, owners(program.user))
            ]
            found[program.name] = tuple(each for each in own if _is_new(each, since, moment.wall))
    return found


def _is_new(event: Event, since: float, now: float) -> bool:
    # An event that is dated in the future would keep later ones from being passed on.
    return event.what in PASSED_ON and since < event.at <= now
