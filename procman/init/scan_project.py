"""Find the parts of a Django project below a directory without running it: manage.py, Celery app, virtualenv."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

DEEPEST = 5
MOST_ENTRIES = 200_000
LARGEST_SOURCE = 262_144
SKIPPED = {"node_modules", "site-packages", "__pycache__", "proc", "sys"}
APP_FILES = ("celery.py", "celery_app.py", "celeryapp.py", "celeryconf.py")

SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']""")
ENTRY_POINT = re.compile(r"^(?:from|import) (?!re\b|sys\b)(\w+)", re.MULTILINE)
"""The import of a package in a script that pip or uv makes for an entry point."""

APP = re.compile(r"^\w{1,100}\s{0,100}(?::[^=\n]{1,200})?=\s{0,100}[\w.]{0,200}Celery\w{0,100}\(", re.MULTILINE)


@dataclass(frozen=True)
class Places:
    """The files and virtualenvs found below a directory, nearest first."""

    manage_files: tuple[Path, ...] = ()
    app_files: tuple[Path, ...] = ()
    virtualenvs: tuple[Path, ...] = ()
    is_complete: bool = True
    """False if the search ended early, at `MOST_ENTRIES`."""


@dataclass(frozen=True)
class FoundProject:
    """The parts of a project; None for an unknown one."""

    directory: Path | None
    settings: str | None
    app: str | None
    virtualenv: Path | None
    doubts: Mapping[str, str]
    """Why the others are unknown, by their names."""


def look_below(top: Path) -> Places:
    """Return the places of interest in `top` and below, without following symbolic links to other trees."""
    manage_files, app_files, virtualenvs = [], [], []
    waiting, seen = deque([(top, 0)]), 0
    while waiting and seen < MOST_ENTRIES:
        directory, depth = waiting.popleft()
        entries = _entries(directory)
        seen += len(entries)
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            virtualenvs.append(directory)
            continue
        for entry in entries:
            path = directory / entry.name
            if entry.name == "manage.py":
                manage_files.append(path)
            elif entry.name in APP_FILES:
                app_files.append(path)
            elif depth < DEEPEST and entry.name not in SKIPPED and _leads_on(entry):
                waiting.append((path, depth + 1))
    defining = tuple(path for path in app_files if APP.search(_source(path)))
    return Places(tuple(manage_files), defining, tuple(virtualenvs), not waiting)


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _leads_on(entry: os.DirEntry[str]) -> bool:
    # Hidden directories and links matter only as virtualenvs: .venv, or env -> /opt/envs/catmaid.
    if entry.name.startswith(".") or entry.is_symlink():
        return is_virtualenv(Path(entry.path))
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def is_virtualenv(path: Path) -> bool:
    """Return whether `path` is a virtualenv that this process can read."""
    return _is_file(path / "pyvenv.cfg")


def _is_file(path: Path) -> bool:
    # Path.is_file() raises an error in an inaccessible directory.
    return os.path.isfile(path)  # noqa: PTH113


def _source(path: Path) -> str:
    try:
        # A FIFO would block.
        if not _is_file(path):
            return ""
        with path.open("rb") as file:
            return file.read(LARGEST_SOURCE).decode("utf-8", "replace")
    except OSError:
        return ""


def find_project(top: Path, environment: Mapping[str, str]) -> FoundProject:
    """Choose the parts that belong together below `top`; if several fit, none is chosen and a doubt names them.

    The virtualenv may also be beside `top` or its parent, or be the activated one of `environment`.
    """
    places = look_below(top)
    doubts: dict[str, str] = {}
    directory = _directory(places, doubts)
    settings = settings_in(directory / "manage.py") if directory else None
    app = _app(places, directory, settings, doubts)
    if directory is None and len(places.app_files) == 1:
        # A project without Django, or with a manage.py that does not name its settings.
        directory, app = _module(places.app_files[0])
        doubts.clear()
    virtualenvs = [*places.virtualenvs, *_beside(top), *_activated(environment)]
    virtualenv = _virtualenv(virtualenvs, directory or top, environment, doubts)
    if not places.is_complete:
        part = f"(only a part of {top} was searched, because it is large)"
        doubts = {what: f"{doubt} {part}" for what, doubt in doubts.items()}
    return FoundProject(directory, settings, app, virtualenv, doubts)


def _directory(places: Places, doubts: dict[str, str]) -> Path | None:
    candidates = [path.parent for path in places.manage_files if settings_in(path)]
    with_app = [path for path in candidates if any(app.is_relative_to(path) for app in places.app_files)]
    return _only(with_app or candidates, "directory", "manage.py that names its settings", doubts)


def settings_in(file: Path) -> str | None:
    """Return the settings module that the Python file `file` sets as a default; None if it names none."""
    found = SETTINGS.search(_source(file))
    return found[1] if found else None


def own_settings(directory: Path, app: str) -> str | None:
    """Return the settings module that the Celery app names for the case that DJANGO_SETTINGS_MODULE is not set."""
    module = directory / app.partition(":")[0].replace(".", "/")
    files = (module.with_name(f"{module.name}.py"), *(module / name for name in ("__init__.py", *APP_FILES)))
    return next(filter(None, map(settings_in, files)), None)


def app_behind(command: Path) -> str | None:
    """Return the only app that the package of `command`, a script that pip made in a virtualenv, defines."""
    package = ENTRY_POINT.search(_source(command)) if command.is_absolute() else None
    if package is None:
        return None
    installed = list(command.parent.parent.glob(f"lib/python3*/site-packages/{package[1]}"))
    if len(installed) != 1:
        return None
    # An app may be a package itself, as nautobot.core.celery is.
    packages = [path for where in (".", "*") for path in installed[0].glob(f"{where}/celery/__init__.py")]
    defining = [path.parent for path in packages if APP.search(_source(path))]
    apps = [_module(path)[1] for path in (*look_below(installed[0]).app_files, *defining)]
    return apps[0] if len(apps) == 1 else None


def _app(places: Places, directory: Path | None, settings: str | None, doubts: dict[str, str]) -> str | None:
    if directory is None:
        modules = [_module(path)[1] for path in places.app_files]
    else:
        modules = [_name(path.relative_to(directory)) for path in places.app_files if path.is_relative_to(directory)]
    package = settings.split(".", 1)[0] if settings else None
    return package if package in modules else _only(modules, "app", "Celery app", doubts)


def _module(path: Path) -> tuple[Path, str]:
    """Return the directory to import the module at `path` from, and its name for `celery -A`."""
    directory = path.parent
    while _is_file(directory / "__init__.py"):
        directory = directory.parent
    return directory, _name(path.relative_to(directory))


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    # `celery -A mysite` finds mysite/celery.py.
    return ".".join(parts[:-1] if parts[-1] == "celery" and len(parts) > 1 else parts)


def _beside(top: Path) -> Iterator[Path]:
    for parent in list(top.parents)[:2]:
        if parent != Path("/"):
            yield from filter(is_virtualenv, (parent / entry.name for entry in _entries(parent)))


def _activated(environment: Mapping[str, str]) -> list[Path]:
    value = environment.get("VIRTUAL_ENV", "")
    return [Path(value)] if value.startswith("/") and is_virtualenv(Path(value)) else []


def _virtualenv(
    candidates: Iterable[Path], directory: Path, environment: Mapping[str, str], doubts: dict[str, str]
) -> Path | None:
    known = list(dict.fromkeys(candidates))
    with_celery = [path for path in known if any(path.glob("lib/python3*/site-packages/celery/__init__.py"))]
    usable = with_celery or known
    activated = [path for path in _activated(environment) if path in usable]
    # Prefer the virtualenv that shares most of its path with the project.
    shared = {path: len(Path(os.path.commonpath([path, directory])).parts) for path in usable}
    nearest = [path for path in usable if shared[path] == max(shared.values())]
    return _only(activated or nearest, "virtualenv", "virtualenv", doubts)


def _only(candidates: list[T], what: str, noun: str, doubts: dict[str, str]) -> T | None:
    distinct = list(dict.fromkeys(candidates))
    if len(distinct) == 1:
        return distinct[0]
    listed = ", ".join(map(str, distinct[:5]))
    doubts[what] = f"found more than one {noun}: {listed}" if distinct else f"no {noun} found"
    return None
