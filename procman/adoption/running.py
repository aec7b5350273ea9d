"""Name what runs a process as the key `adopts` does, and read the command that root configured for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from procman.adoption.procfile import procfile_in
from procman.adoption.supervisord_files import configuration_in
from procman.backends.supervisor.configuration.discovery import command_of, read_programs
from procman.backends.supervisor.configuration.includes import included
from procman.backends.supervisor.configuration.main_file import DEFAULT_FILES, read_main_file
from procman.backends.supervisor.configuration.sections import Section
from procman.errors import ProcmanError
from procman.host.process import arguments, directory_of, environment_of, user_of
from procman.host.runner import Runner
from procman.host.systemctl import Systemctl
from procman.model import Scope
from procman.monitoring.checks.adopted_programs import runs
from procman.sources import PROCFILE, SUPERVISOR, SYSTEMD, Source

ANSWER_SECONDS = 5.0
ROOT = 0


def source_of(runner: Runner, node: str = "") -> Source | None:
    """Return the source that `runner` runs; None if it is none that can be adopted, or if its file is not found.

    `node` is the short name of a worker in a unit that runs several.
    """
    if runner.in_container:
        return None
    if runner.is_honcho:
        directory = directory_of(runner.manager)
        if directory is None:
            return None
        file = procfile_in(arguments(runner.manager), directory, environment_of(runner.manager))
        return Source(PROCFILE, str(file), runner.program.partition(".")[0])
    if runner.manager:
        found = _section_of(runner)
        return Source(SUPERVISOR, str(found[0]), found[1].name) if found else None
    return Source(SYSTEMD, runner.unit, node) if runner.unit else None


def command_by_root(runner: Runner) -> list[str]:
    """Return the command that root's systemd unit or supervisord section has for a process; empty if it has none.

    Unlike its command line, no other user can choose it.
    """
    if runner.unit and not runner.is_of_user:
        return _command_of_unit(runner.unit)
    found = _section_of(runner) if runner.manager and not runner.is_honcho and user_of(runner.manager) == ROOT else None
    if found is None:
        return []
    try:
        return command_of(found[1], found[0].parent)
    except ValueError:
        return found[1].value("command").split()


def _command_of_unit(unit: str) -> list[str]:
    try:
        shown = Systemctl(Scope.SYSTEM, ANSWER_SECONDS).show([unit], ["ExecStart"])[unit].text("ExecStart")
    except ProcmanError:
        return []
    argv = re.search(r"argv\[\]=(.*?) ; ", shown)
    return argv[1].split() if argv else []


def _section_of(runner: Runner) -> tuple[Path, Section] | None:
    """Return the file and the section of a program of supervisord."""
    meant = Source(SUPERVISOR, "/", "")
    for file in _files_of(runner.manager):
        for section in _programs_in(file):
            if runs(runner, meant._replace(name=section.name)):
                return file, section
    return None


def _files_of(manager: int) -> Iterator[Path]:
    """Yield the configuration files of the supervisord with the pid `manager`.

    Another user's could name a file that never ends, or a link (S3).
    """
    if user_of(manager) not in (ROOT, os.geteuid()):
        return
    named, directory = configuration_in(arguments(manager)), directory_of(manager)
    for path in [directory / named] if named and directory else DEFAULT_FILES:
        try:
            yield from (path, *included(read_main_file(path).includes))
        except ProcmanError:
            continue


def _programs_in(file: Path) -> list[Section]:
    try:
        return [each for each in read_programs(file) if each.kind == "program"]
    except ProcmanError:
        return []
