"""Read a rendering as systemd will, together with all units and drop-ins of the host, before it is installed (R6)."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from procman.backends.systemd import sandbox
from procman.backends.watcher import watcher_name
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.systemd_analyze import verify_units
from procman.launch import environment_file_of
from procman.model import Scope
from procman.project import Command, Program, Project, RenderedFile, Rendering, Sandbox

CONTRACT = {"KillMode": "mixed", "Restart": "always", "SystemCallErrorNumber": "EPERM"}
"""The directives that keep running tasks alive and restart workers; a changed template must keep them (R7)."""


def verify(
    project: Project,
    rendering: Rendering,
    removed: Iterable[Path] = (),
    adopted: Mapping[Path, str | None] | None = None,
) -> list[str]:
    """Return the problems that systemd would have; needs no privileges if the files are readable."""
    try:
        version = systemd_host.version()
        reason = systemd_host.unreachable(project.scope)
        if reason:
            return [f"{project.configuration_file}: {reason}"]
        units = {file.path.name: file for file in rendering.files if file.section}
        gone = {*removed, *(adopted or ())}
        problems = [*_clashes(project, units, gone), *_contract(project, units.values()), *_paths(project, rendering)]
        # If another unit has one of the names, systemd would read that unit, so its answer would be worthless.
        if problems:
            return problems
        staged = {name: file.content for name, file in units.items()}
        found = verify_units(project.scope, project.directories.units, staged, version)
        return [_explained(line, project) for line in found]
    except ProcmanError as error:
        return [error.in_one_line]


def unread(_project: Project, _rendering: Rendering, _files: Iterable[Path]) -> list[str]:
    """Return no problems: `remaining` accepts only units, which systemd reads."""
    return []


def remaining(file: Path, names: Collection[str]) -> None:
    """Accept an unmanaged unit with the name of one of procman's, of which nothing is left; refuse any other `file`."""
    same = file.suffix == ".service" and file.stem in names
    around = file.suffix == ".target" and any(name.startswith(f"{file.stem}-") for name in names)
    if not same and not around:
        raise ProcmanError(
            f"{file}: procman does not install a unit of this name, so it cannot replace this one",
            hint=f"Stop it yourself once it runs no tasks: systemctl disable --now {file.name}",
        )


def _clashes(project: Project, units: Collection[str], gone: Collection[Path]) -> Iterator[str]:
    """Yield names that systemd finds in other directories; the plan checks the files in procman's own directory."""
    places = [path for path in systemd_host.unit_path(project.scope) if path != project.directories.units]
    for name in units:
        there = [path / name for path in places if os.path.lexists(path / name) and path / name not in gone]
        if there:
            key = "project.name" if name == f"{project.name}.target" else f"the name of the table for {name}"
            yield f"{there[0]} is not managed by procman, and procman's unit would override it: change {key}"


def _contract(project: Project, units: Iterable[RenderedFile]) -> Iterator[str]:
    programs = {program.name: program for program in project.programs}
    for file in units:
        if file.path.suffix != ".service" or file.programs == (watcher_name(project),):
            continue
        for name, value in _promised(programs[file.programs[0]]).items():
            found = re.findall(rf"^{name}=(.*)$", file.content, re.MULTILINE)
            if found != [value]:
                yield f"{file.path}: {name}= must be {value}, or running tasks are lost: fix the template"


def _promised(program: Program) -> dict[str, str]:
    """Return the directives that the unit of `program` must have; a command may have its own stop."""
    command = program.options
    if not isinstance(command, Command):
        return CONTRACT
    own = {"KillSignal": f"SIG{command.stop_signal}"} if command.stop_signal != "TERM" else {}
    mode = program.systemd_directives.get("KillMode", ("mixed",))[-1]
    return CONTRACT | own | {"KillMode": mode}


def _paths(project: Project, rendering: Rendering) -> Iterator[str]:
    """Yield missing paths that would keep a program from starting, with status 226/NAMESPACE or 243/CREDENTIALS."""
    file, made = project.configuration_file, {directory.path for directory in rendering.directories}
    for path in dict.fromkeys(environment_file_of(project, program) for program in project.programs):
        if path and _is_missing(path):
            yield f"{file}: environment_file: {path} does not exist, and no program starts without it"
    if project.scope is Scope.USER or project.systemd.sandbox is Sandbox.OFF:
        return
    writable = {path for program in project.programs for path in sandbox.writable_paths(project, program)}
    for path in sorted(writable - made):
        if _is_missing(path):
            user = project.user or "root"
            yield f"{file}: writable_paths: {path} does not exist: install -d -o {user} {path}"
    for program in project.programs:
        hidden = sandbox.hidden_interpreter(project, program)
        if hidden:
            yield (
                f"{file}: {program.key}: the Python of {project.virtualenv} is {hidden}, which the sandbox hides: "
                f'set ProtectHome = "read-only" under [systemd.directives]'
            )


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        # This caller may not look there; systemd does as root.
        return False
    return False


def _explained(line: str, project: Project) -> str:
    if "is not executable" in line and str(project.virtualenv) in line:
        return f"{line} (see the key virtualenv in {project.configuration_file})"
    return line
