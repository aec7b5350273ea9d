"""Read the files of variables that existing programs read, as the launcher will (S2, S3)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from procman.agent.environment_file import Assignment, EnvironmentFileError, read_assignments
from procman.agent.variable_rules import refusal
from procman.config.private_file import private_content
from procman.config.trust import trust_problems
from procman.errors import ProcmanError


@dataclass(frozen=True)
class VariablesFile:
    """A file of variables."""

    path: Path
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    problem: str = ""
    """Why its content is unknown; empty if it was read."""
    is_usable: bool = True
    """Whether `environment_file` can name it as it is."""
    refused: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables that no program may get from the administrator (`refusal`)."""
    not_understood: tuple[int, ...] = ()
    """Lines that no environment file can have, such as commands of a shell."""


def read_files(paths: Iterable[Path], user: str | None) -> dict[Path, VariablesFile]:
    """Return the content of each file, which root reads as `user` if others could have placed a link there."""
    return {path: _read(path, user) for path in dict.fromkeys(paths)}


def variables_of(paths: Sequence[Path], files: Mapping[Path, VariablesFile]) -> dict[str, str]:
    """Return the variables that a program gets which reads `paths`; the last one wins."""
    found: dict[str, str] = {}
    for path in paths:
        found |= files[path].variables
    return found


def _read(path: Path, user: str | None) -> VariablesFile:
    if not os.path.lexists(path):
        return VariablesFile(path, problem="it does not exist", is_usable=False)
    if os.geteuid() == 0 and user is None and trust_problems(path, {0}):
        return VariablesFile(path, problem="root does not read it, because other users can replace it")
    try:
        # A FIFO would block. Path.is_file() raises an error in an inaccessible directory.
        if not os.path.isfile(path) and os.access(path.parent, os.X_OK):  # noqa: PTH113
            return VariablesFile(path, problem="it is not a regular file", is_usable=False)
        text = private_content(path, user).decode("utf-8", "surrogateescape")
    except OSError as error:
        return VariablesFile(path, problem=f"it cannot be read: {error.strerror}")
    except ProcmanError as error:
        return VariablesFile(path, problem=f"it cannot be read: {error.hint or error.message}")
    return parsed(path, text)


def parsed(path: Path, text: str) -> VariablesFile:
    """Return what the `text` of the file at `path` sets."""
    wrong: list[int] = []
    try:
        assignments, is_usable = read_assignments(text), True
    except EnvironmentFileError:
        (assignments, wrong), is_usable = _line_by_line(text), False
    found = {each.name: each.value for each in assignments}
    refused = {name: found.pop(name) for name in list(found) if refusal(name)}
    is_usable = is_usable and not refused
    return VariablesFile(path, found, is_usable=is_usable, refused=refused, not_understood=tuple(wrong))


def _line_by_line(text: str) -> tuple[list[Assignment], list[int]]:
    """Return the assignments of a file that a shell reads (`export NAME=value`), and the lines that are none."""
    found, wrong = [], []
    for number, line in enumerate(text.split("\n"), 1):
        plain = re.sub(r"^\s*export\s+", "", line)
        with suppress(EnvironmentFileError):
            read = read_assignments(plain)
            # In an environment file, a shell's variables and commands are text.
            if not any(re.search(r"[$`]", each.written.split("'")[0]) for each in read):
                found += read
                continue
        wrong.append(number)
    return found, wrong
