"""Name the modules of a project as Python imports them: the directory they are imported from, and their dotted name."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from procman.init.look_below import is_file, look_below, source_of

PRODUCTION = ("production", "prod", "live")
"""Names of modules for production, the usual one first."""

ENTRY_POINT = re.compile(r"^(?:from|import) (?!re\b|sys\b)(\w+)", re.MULTILINE)
"""The import of a package in a script that pip or uv makes for an entry point."""

NAMED_MODULE = re.compile(
    r"^[ \t]{0,20}(?:from|import)[ \t]{1,20}([\w.]{1,200})|[\"']([\w.]{1,200})[\"']", re.MULTILINE
)
"""A module that is imported, or named in a string."""


class AppModule(NamedTuple):
    """A module that defines a Celery app."""

    name: str
    """As `celery -A` takes it."""
    file: Path
    python_path: tuple[Path, ...] = ()
    """The directories that the project's own one and the virtualenv lack, to import it."""


def app_module(file: Path, directory: Path, settings: str | None, known: Collection[Path]) -> AppModule:
    """Return how programs in `directory` import the app in `file`, which is below it.

    A src layout, `src/shop/celery.py`, can be imported as `shop`, and also as `src.shop`, because Python needs no
    `__init__.py`: then all of its code would be loaded twice. `settings` and manage.py show which name is meant;
    `known` are the directories that the virtualenv imports from.
    """
    root, name = module_of(file)
    if root == directory:
        return AppModule(name, file)
    from_directory = celery_name(file.relative_to(directory))
    if not _is_import_root(root, directory, settings, known, from_directory):
        return AppModule(from_directory, file)
    return AppModule(name, file, () if root in known else (root,))


def _is_import_root(
    root: Path, directory: Path, settings: str | None, known: Collection[Path], from_directory: str
) -> bool:
    package = (settings or "").partition(".")[0]
    if package and package == from_directory.partition(".")[0]:
        return False
    inserted = [line for line in source_of(directory / "manage.py").splitlines() if "sys.path" in line]
    is_inserted = any(re.search(rf"\b{re.escape(root.name)}\b", line) for line in inserted)
    return root in known or root.name == "src" or is_inserted or (bool(package) and _has_module(root, package))


def _has_module(directory: Path, name: str) -> bool:
    return is_file(directory / f"{name}.py") or is_file(directory / name / "__init__.py")


def choose_app(modules: Sequence[AppModule], settings: str | None) -> tuple[AppModule | None, str]:
    """Return the one of `modules` that belongs to the settings' package, or else the only one; and why, if it is one
    of several for the stages of a project."""
    package = settings.split(".", 1)[0] if settings else None
    own = [each for each in modules if each.name == package]
    of_package = [each for each in modules if each.name.partition(".")[0] == package]
    for group in (own, of_package, modules):
        if len({each.name for each in group}) == 1:
            return group[0], ""
    productive = [each for each in of_package or modules if each.name.rpartition(".")[2] in PRODUCTION]
    if len(productive) == 1 and len({each.file.parent for each in modules}) == 1:
        others = ", ".join(each.name for each in modules if each is not productive[0])
        return productive[0], f"there are also {others}"
    return None, ""


def module_of(file: Path) -> tuple[Path, str]:
    """Return the directory to import the module at `file` from, and its name for `celery -A`."""
    directory = file.parent
    while is_file(directory / "__init__.py"):
        directory = directory.parent
    if _names_package(source_of(file), directory):
        # A package without __init__.py.
        directory = directory.parent
    return directory, celery_name(file.relative_to(directory))


def _names_package(source: str, directory: Path) -> bool:
    """Return whether `source` imports or names, as in `include`, a module in `directory` as one of a package."""
    modules = {found[1] or found[2] for found in NAMED_MODULE.finditer(source) if directory.name in found[0]}
    parts = [module.split(".") for module in modules]
    inside = [each[1] for each in parts if each[0] == directory.name and len(each) > 1]
    return any(is_file(directory / f"{name}.py") or (directory / name).is_dir() for name in inside)


def celery_name(path: Path) -> str:
    """Return the name for `celery -A` of the module at `path`, relative to where it is imported from."""
    parts = path.with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
    # `celery -A mysite` finds mysite/celery.py.
    return ".".join(parts[:-1] if parts[-1] == "celery" and len(parts) > 1 else parts)


def app_behind(command: Path) -> str | None:
    """Return the only app that the package of `command`, a script that pip made in a virtualenv, defines."""
    package = ENTRY_POINT.search(source_of(command)) if command.is_absolute() else None
    if package is None:
        return None
    installed = list(command.parent.parent.glob(f"lib/python3*/site-packages/{package[1]}"))
    if len(installed) != 1:
        return None
    apps = list(dict.fromkeys(module_of(path)[1] for path in look_below(installed[0]).app_files))
    return apps[0] if len(apps) == 1 else None
