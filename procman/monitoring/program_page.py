"""Collect what `procman status NAME` shows of one program beyond its row in the table."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from procman.agent.task_record import RunningTask
from procman.backends import controller_of
from procman.backends.logs import LogRequest
from procman.background import Background, TimedOut
from procman.config.private_file import secrets_of_programs
from procman.errors import ProcmanError
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, Level, ProgramState, Result
from procman.monitoring.checks.inputs import EndReport
from procman.monitoring.ends import reports_of
from procman.monitoring.health import examine_program
from procman.monitoring.running_tasks import task_records

LOG_LINES = 10
LONGEST_LINE = 500
"""Characters of a line of the log that are shown."""

MOST_ENDS = 5

MOST_SECONDS = 10.0
"""For each part; a disk that is gone hangs every access (R10)."""


class ProgramPage(NamedTuple):
    """The details of a program."""

    results: tuple[Result, ...] = ()
    """Of every check of the program alone that found something."""
    open_files: int | None = None
    ends: tuple[EndReport, ...] = ()
    """How its processes ended, the last one first."""
    tasks: tuple[RunningTask, ...] | None = None
    """Which it is running; None: it keeps no record."""
    defined_in: tuple[Path, ...] = ()
    """The files that define it alone: a unit or a section, and a start script."""
    log: tuple[str, ...] = ()
    """The last lines of its log, without secrets."""
    log_problem: str = ""
    """Why they cannot be read."""
    missing: tuple[str, ...] = ()
    """What could not be collected in time."""


def page_of(
    manifest: Manifest, program: InstalledProgram, state: ProgramState, reported: ProgramState | None = None
) -> ProgramPage:
    """Return the details of `program`; a part that takes too long is missing.

    `reported` is the state of the process manager, if a keeper shows another process in `state`.
    """
    page = ProgramPage(defined_in=_defined_in(manifest, program))
    parts = {
        "checks": lambda: _checked(page, manifest, program, reported or state),
        "exits and tasks": lambda: _with_runs(page, manifest, program, state),
        "log": lambda: _with_log(page, manifest, program),
    }
    for name, part in parts.items():
        try:
            page = Background(part).result(MOST_SECONDS)
        except TimedOut:
            page = page._replace(missing=(*page.missing, name))
    return page


def _defined_in(manifest: Manifest, program: InstalledProgram) -> tuple[Path, ...]:
    own = [file for file in manifest.files if file.programs == (program.name,)]
    return tuple(file.path for file in sorted(own, key=lambda file: not file.section))


def _checked(page: ProgramPage, manifest: Manifest, program: InstalledProgram, state: ProgramState) -> ProgramPage:
    health = examine_program(manifest, program, state)
    files = [result.values["open_files"] for result in health.everything if "open_files" in result.values]
    found = tuple(result for result in health.everything if result.level is not Level.OK)
    return page._replace(results=found, open_files=int(files[0]) if files else None)


def _with_runs(page: ProgramPage, manifest: Manifest, program: InstalledProgram, state: ProgramState) -> ProgramPage:
    ends = tuple(reversed(reports_of(manifest, program, state.history.ends[-MOST_ENDS:])))
    # Of the process that runs now: an earlier one leaves its record if it ended with running tasks.
    records = [record for record in task_records(manifest, program) if record.pid == state.pid]
    return page._replace(ends=ends, tasks=records[0].tasks if records else None)


def _with_log(page: ProgramPage, manifest: Manifest, program: InstalledProgram) -> ProgramPage:
    try:
        lines = [line.text for line in controller_of(manifest).log_lines([program], LogRequest(LOG_LINES))]
        secrets = secrets_of_programs(*manifest.environment_file_of(program))
    except ProcmanError as error:
        return page._replace(log_problem=error.message)
    return page._replace(log=tuple(_cut(secrets.masked(line)) for line in lines))


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..."
