"""Refuse volumes that would hide what a container needs, or that no engine can mount."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procman.project import Beat, Program, Project

OF_THE_KERNEL = ("/proc", "/sys")

TEMPORARY = Path("/tmp")  # noqa: S108  # where programs write their temporary files


def schedule_directory(project: Project, program: Program) -> Path | None:
    """Return the directory for which beat needs a volume of its own; None if it has none, or shares that of others."""
    file = program.options.schedule_file if isinstance(program.options, Beat) else None
    return file.parent if file and file.parent not in project.writable_paths else None


def problems(project: Project) -> Iterator[tuple[str, str]]:
    """Yield the keys whose volumes cannot be mounted, each with the reason and what to do."""
    for path in dict.fromkeys(project.writable_paths):
        problem = _problem(project, path)
        if problem:
            yield "project.writable_paths", f"a volume at {path} {problem}: name a directory of its own"
    for program in project.programs:
        schedule = schedule_directory(project, program)
        problem = _problem(project, schedule) if schedule else ""
        if schedule == TEMPORARY:
            problem = "would keep the temporary files of beat"
        if problem:
            yield "beat.schedule_file", f"a volume at {schedule} {problem}: put the file into a directory of its own"


def _problem(project: Project, path: Path) -> str:
    """Return what a volume at `path` would do; empty if nothing is wrong."""
    if ":" in str(path):
        return "cannot be mounted, because of the colon"
    if str(path) == "/dev" or any(path.is_relative_to(each) for each in OF_THE_KERNEL):
        return "would hide files of the kernel"
    hidden = next((what for needed, what in _needed(project) if needed.is_relative_to(path)), "")
    if hidden:
        return f"would hide {hidden}"
    inside = next((what for directory, what in _complete(project) if path.is_relative_to(directory)), "")
    return f"would be inside {inside}" if inside else ""


def _needed(project: Project) -> Iterator[tuple[Path, str]]:
    """Yield what no volume may hide."""
    yield project.directory, "the directory of the project"
    for module in filter(None, (project.app.partition(":")[0], project.settings)):
        yield project.directory.joinpath(*module.split(".")), f"the code of {module}"
    yield from ((path, "a directory of python_path") for path in project.python_path)
    yield from _complete(project)


def _complete(project: Project) -> Iterator[tuple[Path, str]]:
    """Yield the directories inside which nothing may be mounted."""
    yield from ((project.virtualenv / name, "the virtualenv") for name in ("bin", "lib"))
    yield project.directories.library, "the launcher"
    for program in project.programs:
        yield project.directories.run(program.name), "the directory of lock and heartbeat"
