"""Find the tasks that a stop or restart did not let finish: what the worker handed back, and what was killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from procman.install.state.event_log import Event, untrusted_events
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram
from procman.monitoring.lost_tasks import HANDED_BACK, dead_records, is_recorded, losses_of
from procman.monitoring.program_view import now, owners
from procman.monitoring.task_outcome import Fate, Outcome


class UnfinishedTask(NamedTuple):
    """A task that was running when its worker was stopped, and that did not finish."""

    program: str
    id: str
    """Empty if it is unknown."""
    name: str
    fate: Fate


class UnfinishedTasks:
    """The tasks that programs do not finish from the creation of this object on; create it before the stop."""

    def __init__(self, manifest: Manifest, programs: Sequence[InstalledProgram]) -> None:
        self._manifest = manifest
        self._programs = [program for program in programs if is_recorded(program)]
        self._events = {program.name: self._events_of(program) for program in self._programs}
        self._records = {program.name: dead_records(manifest, program) for program in self._programs}

    def of(self, program: InstalledProgram) -> tuple[UnfinishedTask, ...]:
        """Return the tasks of `program`; call it once its process has ended."""
        if program.name not in self._events:
            return ()
        # By id: a task that the worker ended and returned may be in its record as well.
        found = {task.id or str(number): task for number, task in enumerate(self._killed(program))}
        handed_back = {task.id: task for task in self._handed_back(program)}
        return tuple({**handed_back, **found}.values())

    def _events_of(self, program: InstalledProgram) -> list[Event]:
        directories = self._manifest.directories.runs(program.name, program.overlap_max)
        return [
            event
            for directory in directories
            for event in untrusted_events(directory, program.name, owners(program.user))
            if event.what == HANDED_BACK
        ]

    def _handed_back(self, program: InstalledProgram) -> Iterator[UnfinishedTask]:
        # Not by their time: the clock may be set during a long stop.
        for event in self._events_of(program):
            if event not in self._events[program.name]:
                for task_id, name in zip(event.task_ids, event.tasks, strict=True):
                    yield UnfinishedTask(program.name, task_id, name, Fate(Outcome.HANDED_BACK))

    def _killed(self, program: InstalledProgram) -> Iterator[UnfinishedTask]:
        records = [each for each in dead_records(self._manifest, program) if each not in self._records[program.name]]
        for loss in losses_of(self._manifest, program, records, (), now()):
            for task in loss.tasks:
                yield UnfinishedTask(program.name, task.id, task.name, task.fate)
