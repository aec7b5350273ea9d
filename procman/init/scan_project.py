"""Find the parts of a project below a directory without running it: directory, settings, Celery app, virtualenv."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from procman.init.app_modules import AppModule, app_module, choose_app, module_of
from procman.init.look_below import Places, entries_of, look_below
from procman.init.settings_class import ChosenClass, choose_class
from procman.init.settings_modules import ChosenSettings, choose_settings, settings_in
from procman.init.virtualenvs import (
    activated,
    has_activation_scripts,
    has_celery,
    home_of,
    import_paths,
    is_environment,
    of_tools,
)

T = TypeVar("T")

NOTHING = "no manage.py and no Celery app found"
NO_MODULE = "no module"


@dataclass(frozen=True)
class FoundProject:
    """The parts of a project; None for an unknown one."""

    directory: Path | None
    settings: str | None
    app: str | None
    virtualenv: Path | None
    doubts: Mapping[str, str]
    """Why the others are unknown, by their names."""
    python_path: tuple[Path, ...] = ()
    """Where the app is imported from, if that is neither the directory nor known to the virtualenv."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """About the choice of a part, by its name."""
    settings_for_development: str | None = None
    """The settings that manage.py names, if `settings` are others."""
    warnings: tuple[str, ...] = ()
    settings_class: ChosenClass = field(default_factory=ChosenClass)

    @property
    def is_empty(self) -> bool:
        """Return whether nothing of a project was found, not even several candidates."""
        return self.doubts.get("directory", "").startswith((NOTHING, NO_MODULE))


def find_project(top: Path, environment: Mapping[str, str], app: str | None = None) -> FoundProject:
    """Choose the parts that belong together below `top`; if several fit, none is chosen and a doubt names them.

    `app` is the app if that is known. The virtualenv may also be beside `top` or its parent, the activated one of
    `environment`, or where poetry, pipenv or conda keeps that of the project. The settings may also be those that
    `environment` names.
    """
    places = look_below(top, app.partition(":")[0] if app else None)
    doubts: dict[str, str] = {}
    directory = _directory(places, doubts)
    if directory is None:
        directory = _directory_without_django(places, app, doubts)
    virtualenv = _virtualenv(places, directory, top, environment, doubts)
    known = import_paths(virtualenv) if virtualenv else []
    module, remarks = _app(places, directory, app, known, doubts)
    settings = _settings(places, directory, module, environment.get("DJANGO_SETTINGS_MODULE"))
    if settings.note:
        remarks["settings"] = settings.note
    return FoundProject(
        directory,
        settings.module,
        module.name if module else None,
        virtualenv,
        doubts if places.is_complete else _of_a_part(top, doubts),
        module.python_path if module else (),
        remarks,
        settings.for_development,
        tuple(_warnings(virtualenv)),
        _settings_class(places, directory, module),
    )


def _of_a_part(top: Path, doubts: Mapping[str, str]) -> dict[str, str]:
    part = f"(only a part of {top} was searched, because it is large)"
    return {what: f"{doubt} {part}" for what, doubt in doubts.items()}


def _warnings(virtualenv: Path | None) -> Iterator[str]:
    if virtualenv and has_activation_scripts(virtualenv):
        yield (
            f"the scripts in {virtualenv}/etc/conda/activate.d, which set variables, do not run: "
            "put the variables that the app needs into [environment]"
        )


def _directory(places: Places, doubts: dict[str, str]) -> Path | None:
    candidates = [path.parent for path in places.manage_files if settings_in(path)]
    app_files = places.named or places.app_files
    with_app = [path for path in candidates if any(app.is_relative_to(path) for app in app_files)]
    return _only(with_app or candidates, "directory", "manage.py that names its settings", doubts)


def _directory_without_django(places: Places, app: str | None, doubts: dict[str, str]) -> Path | None:
    """Return where the only Celery app is imported from, for a project without a manage.py that names its settings."""
    if app:
        nearest = [_import_root(file, app) for file in places.named]
        nearest = [path for path in nearest if len(path.parts) == min(len(each.parts) for each in nearest)]
        return _found(nearest, "directory", f"module {app.partition(':')[0]}", doubts)
    files = places.app_files or places.perhaps_app_files
    if len(files) == 1 or (files and not places.manage_files):
        return _found([module_of(file)[0] for file in files], "directory", "directory with a Celery app", doubts)
    if not places.manage_files:
        doubts["directory"] = NOTHING
    return None


def _import_root(file: Path, app: str) -> Path:
    """Return the directory from which `file` is the module of `app`."""
    path = file.parent if file.name == "__init__.py" else file
    return path.parents[app.partition(":")[0].count(".")]


def _found(candidates: list[Path], what: str, noun: str, doubts: dict[str, str]) -> Path | None:
    doubts.pop(what, None)
    return _only(candidates, what, noun, doubts)


def _app(
    places: Places, directory: Path | None, app: str | None, known: list[Path], doubts: dict[str, str]
) -> tuple[AppModule | None, dict[str, str]]:
    """Return the app's module, and remarks on its choice."""
    if app:
        return _named_app(places, directory, app, known), {}
    files = places.app_files or places.perhaps_app_files
    settings = settings_in(directory / "manage.py") if directory else None
    if directory is None:
        modules = [AppModule(module_of(file)[1], file) for file in files]
    else:
        below = [file for file in files if file.is_relative_to(directory)]
        modules = [app_module(file, directory, settings, known) for file in below]
    found, remark = choose_app(modules, settings)
    if found is None:
        _only([each.name for each in modules], "app", "Celery app", doubts)
    return found, {"app": remark} if remark else {}


def _named_app(places: Places, directory: Path | None, app: str, known: list[Path]) -> AppModule | None:
    """Return the module of `app` as it is imported by programs in `directory`; None if it was not found."""
    for file in places.named:
        root = _import_root(file, app)
        if directory and root.is_relative_to(directory):
            return AppModule(app, file, () if root == directory or root in known else (root,))
    return None


def _settings(places: Places, directory: Path | None, module: AppModule | None, exported: str | None) -> ChosenSettings:
    if directory is None:
        return ChosenSettings()
    roots = [directory, *(module.python_path if module else ()), *((module_of(module.file)[0],) if module else ())]
    return choose_settings(directory, [*_own(module), *_others(places, directory)], roots, exported)


def _settings_class(places: Places, directory: Path | None, module: AppModule | None) -> ChosenClass:
    return choose_class(directory, _own(module), _others(places, directory)) if directory else ChosenClass()


def _own(module: AppModule | None) -> list[Path]:
    """Return the files that the app is imported from."""
    return [module.file, module.file.with_name("__init__.py")] if module else []


def _others(places: Places, directory: Path) -> list[Path]:
    """Return the files that start other processes of the project."""
    return [*(file for file in places.server_files if file.is_relative_to(directory)), directory / "manage.py"]


# The virtualenv -------------------------------------------------------------------------------------------------------


def _virtualenv(
    places: Places, directory: Path | None, top: Path, environment: Mapping[str, str], doubts: dict[str, str]
) -> Path | None:
    near = directory or top
    groups = [
        activated(environment),
        places.virtualenvs,
        of_tools(near, environment, list(_homes(near, environment))),
        list(_beside(top)),
    ]
    known = [path for group in groups for path in group]
    usable = set(filter(has_celery, known)) or set(known)
    fitting = next((found for group in groups if (found := [path for path in group if path in usable])), [])
    # Prefer the virtualenv that shares most of its path with the project.
    shared = {path: len(Path(os.path.commonpath([path, near])).parts) for path in fitting}
    nearest = [path for path in fitting if shared[path] == max(shared.values())]
    return _only(nearest, "virtualenv", "virtualenv", doubts)


def _homes(directory: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield the home directories of the caller, with sudo of the one who called it, and of the owner of `directory`."""
    yield Path(home_of(environment))
    with suppress(KeyError):
        yield Path(pwd.getpwnam(environment["SUDO_USER"]).pw_dir)
    with suppress(OSError, KeyError):
        yield Path(pwd.getpwuid(directory.stat().st_uid).pw_dir)


def _beside(top: Path) -> Iterator[Path]:
    for parent in list(top.parents)[:2]:
        if parent != Path("/"):
            yield from filter(is_environment, (parent / entry.name for entry in entries_of(parent)))


def _only(candidates: Iterable[T], what: str, noun: str, doubts: dict[str, str]) -> T | None:
    distinct = list(dict.fromkeys(candidates))
    if len(distinct) == 1:
        return distinct[0]
    listed = ", ".join(map(str, distinct[:5]))
    remedy = "; for one of them, run `procman init DIRECTORY`" if what == "directory" else ""
    doubts[what] = f"found more than one {noun}: {listed}{remedy}" if distinct else f"no {noun} found"
    return None
