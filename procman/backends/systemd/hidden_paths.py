"""The paths that a program needs and that TemporaryFileSystem= or InaccessiblePaths= of procman.toml hide from it.

The directories of StateDirectory=, LogsDirectory= and RuntimeDirectory=, and the credentials, are mounted over a
TemporaryFileSystem=, but not over InaccessiblePaths= (measured with systemd 252).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from procman.backends.base import HiddenPath
from procman.keeper import is_kept, launch_path, run_directories
from procman.launch import directory_of
from procman.model import Kind
from procman.project import Beat, Program, Project

HIDING = ("TemporaryFileSystem", "InaccessiblePaths")
BINDING = ("BindPaths", "BindReadOnlyPaths")

NOTIFY_SOCKET = Path("/run/systemd/notify")


def hidden_paths(project: Project, program: Program, directives: Mapping[str, tuple[str, ...]]) -> list[HiddenPath]:
    """Return the paths that `directives` of `program` hide and do not bind again."""
    shown = [_target(value) for name in BINDING for value in directives.get(name, ())]
    found = []
    for path, use, is_written, is_own in _needed(project, program):
        for name in HIDING[is_own:]:
            hiding = [_place(value) for value in directives.get(name, ())]
            if _depth(path, hiding) > _depth(path, shown):
                found.append(HiddenPath(path, use, name, is_written=is_written))
                break
    return found


def binding_lines(program: Program, directives: Mapping[str, tuple[str, ...]], paths: Sequence[HiddenPath]) -> str:
    """Return the lines of procman.toml that bind `paths` for `program`, together with those that are bound already."""
    is_own = any(each.directive in program.systemd_directives for each in paths)
    lines = [f"[{program.key}.systemd]" if is_own else "[systemd.directives]"]
    for name, is_written in (("BindReadOnlyPaths", False), ("BindPaths", True)):
        more = [str(each.path) for each in paths if each.is_written is is_written]
        if more:
            lines.append(f"{name} = {json.dumps([*directives.get(name, ()), *more])}")
    return "\n".join(lines)


def _needed(project: Project, program: Program) -> Iterator[tuple[Path, str, bool, bool]]:
    """Yield each path with its use, whether the program writes there, and whether systemd creates it for it."""
    directories = project.directories
    if program.launcher:
        yield directories.library, "the launcher", False, False
        yield directories.state, "where procman hold is noted", False, False
        for path in run_directories(project, program):
            yield path, "the heartbeat", True, True
        if is_kept(program):
            yield launch_path(project, program), "how each of its processes starts", False, False
        if program.kind is not Kind.COMMAND:
            yield NOTIFY_SOCKET, "where it reports to systemd that it is up", False, False
    yield directory_of(project, program), "the working directory", False, False
    yield project.virtualenv, "the virtualenv", False, False
    yield (project.virtualenv / "bin" / "python").resolve(), "the Python of the virtualenv", False, False
    for path in project.python_path:
        yield path, "a directory of python_path", False, False
    for path in project.writable_paths:
        yield path, "a directory of writable_paths", True, False
    if isinstance(program.options, Beat) and program.options.schedule_file:
        yield program.options.schedule_file.parent, "the schedule", True, False


def _target(value: str) -> Path:
    """Return where a path of BindPaths= appears: `[-]SOURCE[:DESTINATION[:OPTIONS]]`."""
    source, *rest = value.lstrip("-+").split(":")
    return Path(rest[0] if rest and rest[0] else source)


def _place(value: str) -> Path:
    """Return the path in a value of TemporaryFileSystem= (`PATH[:OPTIONS]`) or InaccessiblePaths= (`[-+]PATH`)."""
    return Path(value.lstrip("-+").partition(":")[0])


def _depth(path: Path, places: list[Path]) -> int:
    """Return how many parts the longest of `places` has that is `path` or above it; -1 if none is."""
    return max((len(place.parts) for place in places if place == path or place in path.parents), default=-1)
