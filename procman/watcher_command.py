"""What looks after the programs from outside, as `install` sees it: a program among the others, and whom root obeys."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import procman
from procman import backends
from procman.backends.supervisor.watcher_program import STOP_SECONDS
from procman.config.trust import distrust
from procman.init.draft import Draft
from procman.model import BackendName, InstalledProgram, Kind, Scope
from procman.project import Project
from procman.watcher import KEY, healer_argv, healer_name

SHEBANG_BYTES = 4096

REMEDY = 'write procman = "/path/to/procman" under [health]'


def installed_healer(project: Project) -> tuple[InstalledProgram, ...]:
    """Return what a manifest remembers of it; nothing where nobody is to look after PROJECT."""
    if healer_argv(project) is None:
        return ()
    name, log = healer_name(project), None
    if project.backend is BackendName.SUPERVISOR:
        log = backends.files(project.backend).log_path(project, name)
    return (
        InstalledProgram(
            name=name,
            key=KEY,
            kind=Kind.HEALTH,
            autostart=True,
            stop_timeout_seconds=STOP_SECONDS,
            start_seconds=1,
            launcher=False,
            user=None,
            log_file=str(log) if log else None,
            heal=False,
        ),
    )


def healer_problems(project: Project) -> list[str]:
    """Return why it would not run, or why root must not run it: others than root could change what it is (S3)."""
    command = project.health.procman
    if command is None or healer_argv(project) is None:
        return []
    where = f"{project.configuration_file}: health.procman"
    if not os.access(command, os.X_OK):
        return [f"{where}: {command} is not there, or not to be executed: write where procman is, or remove the key"]
    if project.scope is not Scope.SYSTEM:
        return []
    distrusted = [problem for file in _files(command) for problem in distrust(file, {0})]
    return [
        f"{where}: root is to run it, but others could change it: {problem}" for problem in dict.fromkeys(distrusted)
    ]


def healer_notes(project: Project) -> list[str]:
    """Return that nobody looks after the programs from outside, with the remedy; nothing where somebody does."""
    if project.health.procman is not None or not any(program.heal for program in project.programs):
        return []
    return [f"nobody looks after the programs from outside, so that a frozen one may stay frozen: {REMEDY}"]


def name_healer(draft: Draft, scope: Scope) -> None:
    """Write this very procman into DRAFT as what looks after the programs, unless root must not run it."""
    command = own_command()
    if command is None:
        draft.warn("nobody looks after the programs from outside: " + REMEDY)
        return
    problems = [problem for file in _files(command) for problem in distrust(file, {0})] if scope is Scope.SYSTEM else []
    if problems:
        draft.warn(
            f"root is not to run {command} to look after the programs, for others could change it: {problems[0]}"
        )
    else:
        draft.put("health", "procman", command)


def own_command() -> Path | None:
    """Return the command that this procman is: beside its Python, or as it was called; None if it is none."""
    called = Path(sys.argv[0])
    found = [Path(sys.executable).with_name("procman"), called.absolute() if called.name == "procman" else called]
    return next((path for path in found if path.name == "procman" and os.access(path, os.X_OK)), None)


def _files(command: Path) -> Iterator[Path]:
    """Yield what root would run: the command, its interpreter, and procman itself where it is this very one."""
    yield command
    try:
        with command.open("rb") as file:
            first = file.read(SHEBANG_BYTES).split(b"\n")[0]
    except OSError:
        return
    words = first[2:].split() if first.startswith(b"#!") else []
    if words:
        interpreter = Path(os.fsdecode(words[0]))
        yield interpreter
        package = Path(procman.__file__)
        if interpreter.parent.parent in package.parents:
            yield package
