"""Whether the watcher can run, and whether root may run it: what else an install says of it."""

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

REMEDY = 'write procman = "/path/to/procman" under [health]'


def watcher_problems(project: Project) -> list[str]:
    """Return why it would not run, or why root must not run it: others than root could change what it is (S3)."""
    command = project.health.procman
    if command is None or watcher_argv(project) is None:
        return []
    where = f"{project.configuration_file}: health.procman"
    if not os.access(command, os.X_OK):
        return [f"{where}: {command} is not there, or not to be executed: write where procman is, or remove the key"]
    if project.scope is not Scope.SYSTEM:
        return []
    return [
        f"{where}: root is to run it, but others could change it: {problem}"
        for problem in command_trust_problems(command)
    ]


def command_trust_problems(command: Path) -> list[str]:
    """Return each reason why root must not run COMMAND: somebody else could change it, its interpreter or procman."""
    return list(dict.fromkeys(problem for file in _files(command) for problem in trust_problems(file, {0})))


def watcher_notes(project: Project) -> list[str]:
    """Return that nobody looks after the programs from outside, with the remedy; nothing where somebody does."""
    if project.health.procman is not None or not any(program.heal for program in project.programs):
        return []
    return [f"nobody looks after the programs from outside, so that a frozen one may stay frozen: {REMEDY}"]


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
