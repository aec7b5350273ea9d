"""Read which tasks a worker is running, or was running when its process ended."""

from __future__ import annotations

from pathlib import Path

from procman.agent import task_record
from procman.agent.task_record import TaskRecord
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram
from procman.monitoring.program_view import owners

CLOCK_SECONDS = 2.0
"""How much earlier a process may seem to have started by its own clock: supervisord reports whole seconds."""


def task_records(manifest: Manifest, program: InstalledProgram) -> tuple[TaskRecord, ...]:
    """Return the records of tasks of `program`, that of its latest process first.

    Of earlier processes only those are kept that ended while tasks were running. A file that is no record is left out.
    """
    directory = manifest.directories.run(program.name)
    found = (_read(directory / name, owners(program.user)) for name in task_record.FILES)
    return tuple(record for record in found if record is not None)


def _read(path: Path, owner_ids: frozenset[int]) -> TaskRecord | None:
    try:
        content = read_untrusted(path, owner_ids, task_record.SIZE)
        return None if content is None else task_record.read(content)
    except (UntrustedFile, ValueError):
        return None
