"""PM751 and PM754 to PM756: the directories of the project and of procman, the sandbox, and disk space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procman.backends import backend_named
from procman.keeper import run_directories
from procman.model import Level, Result, Scope
from procman.preflight.beat_schedule import MISSING
from procman.preflight.inputs import Place, PreflightFacts, written_paths
from procman.preflight.writable import account_of, some_of

MIB = 2**20


def project_is_reached(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM751: the user can enter the project's directory and read the entries of `python_path`."""
    project = preflight.project
    keys = [("directory", project.directory), *(("python_path", path) for path in project.python_path)]
    readable = []
    for key, path in keys:
        place = preflight.places.get(path)
        if place is None or (place.is_directory and place.readable):
            readable.append(str(path))
            continue
        detail = f"{preflight.user} cannot enter and read {path}" if place.exists else f"{path} does not exist"
        if not place.exists and place.problem not in ("", MISSING):
            detail = f"{preflight.user} cannot reach {path}: {place.problem}"
        hint = f"Correct {key} in [{preflight.table}], or the owners and modes: namei -l {path}"
        yield Result("PM751", None, Level.CRITICAL, detail, hint)
    if preflight.places and len(readable) == len(keys):
        yield Result("PM751", None, Level.OK, f"{preflight.user} can read {', '.join(readable)}")


def sandbox_lets_write(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM754: none of the paths that the app names is read-only in the unit's sandbox, and none is hidden."""
    yield from _hidden(preflight)
    logs = {written.path for each in preflight.asked for written in each.written if written.what == "log"}
    for name, paths in preflight.forbidden.items():
        for path in paths:
            what = "the app cannot open this log and would not start" if path in logs else "the app cannot write there"
            detail = f"the sandbox makes {path} read-only: {what}"
            directory = path.parent if path in logs else path
            hint = f'Add "{directory}" to writable_paths in [project].'
            yield Result("PM754", name, Level.CRITICAL if path in logs else Level.WARNING, detail, hint)


def _hidden(preflight: PreflightFacts) -> Iterator[Result]:
    sandbox = backend_named(preflight.project.backend).sandbox
    for program in preflight.project.programs if sandbox else ():
        assert sandbox
        hidden = sandbox.hidden(preflight.project, program)
        if hidden:
            shown = "; ".join(f"{each.path}, {each.use}" for each in hidden)
            detail = (
                f"{' and '.join(sorted({each.directive for each in hidden}))} hides what the program needs: {shown}"
            )
            hint = f"Make it visible in procman.toml:\n{sandbox.bound(preflight.project, program, hidden)}"
            yield Result("PM754", program.name, Level.CRITICAL, detail, hint)


def there_is_space(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM755: there is space for logs, state, schedule and the app's own files."""
    desired = preflight.project.health.free_space_mib
    low: dict[int, list[Path]] = {}
    for path in dict.fromkeys(written_paths(preflight.project, preflight.asked)):
        place = preflight.places.get(path)
        if place and place.free_bytes is not None and place.free_bytes < desired * MIB:
            low.setdefault(place.free_bytes // MIB, []).append(path)
    for free, paths in sorted(low.items()):
        level = Level.CRITICAL if free < desired / 10 else Level.WARNING
        detail = f"only {free} MiB free for {', '.join(map(str, sorted(set(paths))))}"
        hint = f"Free some disk space; the limit is free_space_mib = {desired} in [health]."
        yield Result("PM755", None, level, detail, hint, {"free_mib": float(free)})
    if preflight.places and not low:
        yield Result("PM755", None, Level.OK, f"at least {desired} MiB free wherever the programs write")


def own_directories_are_safe(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM756: the user cannot create links where root opens logs, and can write to each run directory."""
    project = preflight.project
    logs = preflight.places.get(project.directories.logs)
    opened_by_root = project.scope is Scope.SYSTEM and backend_named(project.backend).logs_opened_by_root
    if logs and logs.exists and logs.writable and opened_by_root:
        detail = (
            f"{project.user} can write to {project.directories.logs}, where root opens logs: with a symbolic link "
            f"there, {project.user} could append to any file"
        )
        hint = f"chown root: {project.directories.logs} && chmod 0755 {project.directories.logs}"
        hint = "\n".join([*_moved_first(preflight), hint])
        yield Result("PM756", None, Level.CRITICAL, detail, hint)
    for program, path in ((each, path) for each in project.programs for path in run_directories(project, each)):
        place = preflight.places.get(path)
        if program.launcher and place and place.exists and not place.writable:
            detail = f"{preflight.user} cannot write to {path}: the program could not take its lock"
            hint = _writable_again(path, place, account_of(preflight))
            yield Result("PM756", program.name, Level.CRITICAL, detail, hint)


def _moved_first(preflight: PreflightFacts) -> Iterator[str]:
    """Yield what to do about other programs, such as uwsgi, that log in the directory, before root takes it over."""
    logs, user = preflight.project.directories.logs, preflight.project.user
    below = preflight.below.get(logs)
    if below and below.files:
        others = f"the other programs of {user} that log there ({some_of(below.files)})"
        yield f"First let {others} log elsewhere, such as in:"
        yield f"install -d -o {user} {logs}-{user}"
        yield "Then restart them, and:"


def _writable_again(path: Path, place: Place, user: str) -> str:
    if place.owner != user:
        return f"chown {user} {path}"
    # With the right owner and mode, the file system is read-only.
    return f"findmnt -T {path}; dmesg | tail" if place.mode & 0o300 == 0o300 else f"chmod u+rwx {path}"
