"""PM75x: directories that are there, that the user may write to, that the sandbox leaves open, and that have space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procman.backends import backend_named
from procman.model import Level, Result, Scope
from procman.preflight.beat_schedule import MISSING
from procman.preflight.inputs import PreflightFacts, written_paths

MIB = 2**20


def project_is_reached(preflight: PreflightFacts) -> Iterator[Result]:
    """The user can enter the project's directory, and read what stands on PYTHONPATH."""
    project = preflight.project
    keys = [("directory", project.directory), *(("python_path", path) for path in project.python_path)]
    for key, path in keys:
        place = preflight.places.get(path)
        if place is None or (place.is_directory and place.readable):
            continue
        what = "cannot be entered and read" if place.exists else "is not there"
        if not place.exists and place.problem not in ("", MISSING):
            what = f"cannot be reached: {place.problem}"
        hint = f"Mend {key} in [project], or the owners and modes that `namei -l {path}` shows."
        detail = f"{path} {what}, for {project.user or 'you'}"
        yield Result("PM751", None, Level.CRITICAL, detail, hint)


def writable_paths_are_writable(preflight: PreflightFacts) -> Iterator[Result]:
    """Every directory of writable_paths is there, and the user can write to it."""
    user = preflight.user
    for path in preflight.project.writable_paths:
        place = preflight.places.get(path)
        if place is None:
            continue
        if not place.exists:
            owner = f"-o {user} " if preflight.project.user else ""
            detail = f"{path} of writable_paths is not there, for {user} ({place.problem})"
            yield Result("PM752", None, Level.CRITICAL, detail, f"install -d {owner}{path}")
        elif not place.writable:
            detail = (
                f"{user} cannot write to {path} of writable_paths: it belongs to {place.owner}, mode {place.mode:04o}"
            )
            hint = f"chown {user} {path}, or take it out of writable_paths."
            yield Result("PM752", None, Level.CRITICAL, detail, hint)


def app_can_write(preflight: PreflightFacts) -> Iterator[Result]:
    """What the app's settings and logging name can be written by the user."""
    for each in preflight.asked:
        for written in each.written:
            if not written.writable:
                detail = f"{preflight.user} cannot write to {written.path} ({written.what} of the app)"
                hint = f"namei -l {written.path} shows why; change its owner, or that setting of the app."
                yield Result("PM753", each.name, Level.WARNING, detail, hint)


def sandbox_lets_write(preflight: PreflightFacts) -> Iterator[Result]:
    """What the app's settings and logging name is not read-only in the sandbox of the unit."""
    logs = {written.path for each in preflight.asked for written in each.written if written.what == "log"}
    for name, paths in preflight.forbidden.items():
        for path in paths:
            what = "its log cannot be opened, so it would not start" if path in logs else "writing there fails"
            detail = f"the sandbox makes {path} read-only: {what}"
            directory = path.parent if path in logs else path
            hint = f'Add "{directory}" to writable_paths in [project].'
            yield Result("PM754", name, Level.CRITICAL if path in logs else Level.WARNING, detail, hint)


def there_is_space(preflight: PreflightFacts) -> Iterator[Result]:
    """Where logs, state, schedule and the app's own files go, there is space left."""
    desired = preflight.project.health.free_space_mib
    low: dict[int, list[Path]] = {}
    for path in dict.fromkeys(written_paths(preflight.project, preflight.asked)):
        place = preflight.places.get(path)
        if place and place.free_bytes is not None and place.free_bytes < desired * MIB:
            low.setdefault(place.free_bytes // MIB, []).append(path)
    for free, paths in sorted(low.items()):
        level = Level.CRITICAL if free < desired / 10 else Level.WARNING
        detail = f"only {free} MiB are free for {', '.join(map(str, sorted(set(paths))))}"
        hint = f"Free some; free_space_mib in [health] ({desired}) says how much there should be."
        yield Result("PM755", None, level, detail, hint, {"free_mib": float(free)})
    if preflight.places and not low:
        yield Result("PM755", None, Level.OK, f"{desired} MiB and more are free wherever the programs write")


def own_directories_are_sound(preflight: PreflightFacts) -> Iterator[Result]:
    """Logs that root opens are where the user cannot make links; each program's own directory is the user's."""
    project = preflight.project
    logs = preflight.places.get(project.directories.logs)
    opened_by_root = project.scope is Scope.SYSTEM and backend_named(project.backend).logs_opened_by_root
    if logs and logs.exists and logs.writable and opened_by_root:
        detail = (
            f"{project.user} can write to {project.directories.logs}, where root opens logs: by a link there it could "
            "append to any file"
        )
        hint = f"chown root: {project.directories.logs} && chmod 0755 {project.directories.logs}"
        yield Result("PM756", None, Level.CRITICAL, detail, hint)
    for program in project.programs:
        path = project.directories.run(program.name)
        place = preflight.places.get(path)
        if program.launcher and place and place.exists and not place.writable:
            detail = f"{path} is not for {project.user or 'you'} to write to: the program could not take its lock"
            hint = f"chown {project.user} {path}" if project.user else f"chown $USER {path}"
            yield Result("PM756", program.name, Level.CRITICAL, detail, hint)
