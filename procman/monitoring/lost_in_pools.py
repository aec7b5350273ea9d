"""Read which tasks were lost with their pool processes, from the events of the worker, which are not trusted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from procman.agent.strict_json import parse
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.install.state.event_log import FOREIGN_BYTES, NAME, read_event
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram
from procman.monitoring.lost_task import LostTask
from procman.monitoring.program_view import owners
from procman.monitoring.task_outcome import Fate, Outcome

LOST = "lost"
MODES = ("early", "late")
OUTCOMES = {outcome.value: outcome for outcome in Outcome}


def lost_in_pools(manifest: Manifest, program: InstalledProgram) -> Iterator[LostTask]:
    """Yield the tasks of `program` whose pool process died while its main process ran on, oldest first."""
    for directory in manifest.directories.runs(program.name, program.overlap_max):
        yield from _lost_in(directory, program)


def _lost_in(directory: Path, program: InstalledProgram) -> Iterator[LostTask]:
    try:
        content = read_untrusted(directory / NAME, owners(program.user), FOREIGN_BYTES) or b""
    except UntrustedFile:
        return
    for line in content.split(b"\n"):
        task = _task_of(program.name, line)
        if task is not None:
            yield task


def _task_of(program: str, line: bytes) -> LostTask | None:
    event = read_event(line)
    if event is None or event.what != LOST or len(event.tasks) != 1 or len(event.task_ids) != 1:
        return None
    data: Any = parse(line.decode("utf-8"))
    started, mode, outcome = data.get("started"), data.get("acknowledged"), OUTCOMES.get(event.action)
    if type(started) not in (int, float) or not 0 <= started < 2**33 or mode not in MODES or outcome is None:
        return None
    late = mode == "late"
    return LostTask(program, event.task_ids[0], event.tasks[0], started, late, event.reason, event.at, Fate(outcome))
