"""Find the tasks that the end of a main process interrupted, as events: one for each task, once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from procman.backends import controller_of
from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import Event, own_events
from procman.install.state.manifest import Manifest
from procman.model import NO_HISTORY, End, InstalledProgram
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.ends import DAY_SECONDS, HISTORY_SECONDS
from procman.monitoring.kept_ends import histories
from procman.monitoring.lost_in_pools import LOST
from procman.monitoring.lost_tasks import REBOOT, Loss, dead_records, is_recorded, losses_of
from procman.monitoring.program_view import Moment, now
from procman.monitoring.running_tasks import CLOCK_SECONDS


def new_lost_events(
    manifest: Manifest, snapshots: Sequence[ProgramSnapshot], moment: Moment
) -> Mapping[str, tuple[Event, ...]]:
    """Return the tasks interrupted within an hour that procman's own log does not have, by program, as events."""
    with Tree() as tree:
        logged = list(own_events(tree, manifest.directories.state))
    programs = [snapshot.program for snapshot in snapshots]
    return _events(manifest, programs, logged, moment, moment.wall - HISTORY_SECONDS)


def unlogged_lost_events(
    manifest: Manifest, programs: Sequence[InstalledProgram], logged: Sequence[Event]
) -> list[Event]:
    """Return the tasks interrupted within a day that no watcher has logged, as events."""
    found = _events(manifest, programs, logged, now(), time.time() - DAY_SECONDS)
    return [event for events in found.values() for event in events]


def _events(
    manifest: Manifest, programs: Sequence[InstalledProgram], logged: Sequence[Event], moment: Moment, since: float
) -> dict[str, tuple[Event, ...]]:
    records = {program: dead_records(manifest, program) for program in programs if is_recorded(program)}
    concerned = [program for program, dead in records.items() if dead]
    # After a reboot its record is often all that is left of a process.
    found = histories(manifest, controller_of(manifest), concerned, since) if concerned else {}
    events: dict[str, tuple[Event, ...]] = {}
    for program in concerned:
        ends: Sequence[End] = found.get(program.name, NO_HISTORY).ends
        known = {(each.program, each.task_ids): each.at for each in logged if each.what == LOST}
        losses = losses_of(manifest, program, records[program], ends, moment)
        events[program.name] = tuple(
            event for loss in losses for event in _of_loss(loss, moment, known) if since < event.at <= moment.wall
        )
    return events


def _of_loss(loss: Loss, moment: Moment, known: Mapping[tuple[str, tuple[str, ...]], float]) -> Iterator[Event]:
    """Yield the events of `loss`; none while it is unknown when it was, so that each has one time only."""
    at = moment.wall - moment.monotonic if loss.ended == REBOOT else loss.at
    if at is None:
        return
    for task in loss.tasks:
        # A task that is delivered again may be lost again; the time of the boot moves with the clock.
        earliest = task.started if loss.ended == REBOOT else at - CLOCK_SECONDS
        if known.get((loss.program, (task.id,)), 0.0) < earliest:
            yield Event(
                at=at,
                program=loss.program,
                what=LOST,
                reason=task.ended,
                action=task.fate.outcome.value,
                tasks=(task.name,),
                task_ids=(task.id,),
            )
