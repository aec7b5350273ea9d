"""Read which tasks a worker is running, or was running when its process ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procman.agent import task_record
from procman.agent.task_record import TaskRecord
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.install.state.manifest import Manifest
from procman.model import SLOTS, InstalledProgram
from procman.monitoring.program_view import owners

CLOCK_SECONDS = 2.0
"""How much earlier a process may seem to have started by its own clock: supervisord reports whole seconds."""


def task_records(manifest: Manifest, program: InstalledProgram) -> tuple[TaskRecord, ...]:
    """Return the records of tasks of `program`, that of its latest process first.

    Of earlier processes only those are kept that ended while tasks were running. A file that is no record is left out.
    """
    return tuple(record for record in _read_all(manifest, program) if isinstance(record, TaskRecord))


def record_problems(manifest: Manifest, program: InstalledProgram) -> tuple[str, ...]:
    """Return why records of tasks of `program` are left out."""
    return tuple(problem for problem in _read_all(manifest, program) if isinstance(problem, str))


def run_directories(manifest: Manifest, program: InstalledProgram) -> tuple[Path, ...]:
    """Return the run directories of `program`, also those of slots that it no longer has, where tasks may have been cut
    when an install took them; not one that another program uses."""
    own, *further = manifest.directories.runs(program.name, len(SLOTS) - 1)
    used = {manifest.directories.run(each.name) for each in manifest.programs}
    return (own, *(each for each in further if each not in used))


def _read_all(manifest: Manifest, program: InstalledProgram) -> Iterator[TaskRecord | str | None]:
    directories = run_directories(manifest, program)
    paths = (directory / name for directory in directories for name in task_record.FILES)
    return (_read(path, owners(program.user)) for path in paths)


def _read(path: Path, owner_ids: frozenset[int]) -> TaskRecord | str | None:
    """Return a record, why it cannot be used, or None if there is none."""
    try:
        content = read_untrusted(path, owner_ids, task_record.SIZE)
        return None if content is None else task_record.read(content)
    except UntrustedFile as error:
        return str(error)
    except ValueError as error:
        return f"{path} cannot be used: {error}"
