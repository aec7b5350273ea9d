"""Check whether the watcher can run, and whether root may run it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import procman
from procman.backends.watcher import watcher_argv
from procman.config.trust import trust_problems
from procman.model import Scope
from procman.project import Project

SHEBANG_BYTES = 4096

REMEDY = 'set procman = "/path/to/procman" in [health]'


def watcher_problems(project: Project) -> list[str]:
    """Return why the watcher cannot run, or why root must not run it: another user could change its files (S3)."""
    command = project.health.procman
    if command is None or watcher_argv(project) is None:
        return []
    where = f"{project.configuration_file}: health.procman"
    if not os.access(command, os.X_OK):
        return [f"{where}: {command} does not exist or is not executable: set the path of procman, or remove the key"]
    if project.scope is not Scope.SYSTEM:
        return []
    return [
        f"{where}: refusing to let root run a program that other users can modify: {problem}"
        for problem in command_trust_problems(command)
    ]


def command_trust_problems(command: Path) -> list[str]:
    """Return each reason why root must not run `command`: others can modify it, its interpreter or procman."""
    return list(dict.fromkeys(problem for file in _files(command) for problem in trust_problems(file, {0})))


def watcher_notes(project: Project) -> list[str]:
    """Return a warning if programs should be healed and no watcher is configured."""
    if project.health.procman is not None or not any(program.heal for program in project.programs):
        return []
    return [f"no watcher is configured, so a frozen program may stay frozen: {REMEDY}"]


def _files(command: Path) -> Iterator[Path]:
    """Yield the files that root would run: the command, its interpreter, and procman if it is this installation."""
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
