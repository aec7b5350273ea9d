"""Choose the settings module of a Django project from the files that name one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from procman.init.app_modules import PRODUCTION
from procman.init.look_below import APP_FILES, is_file, source_of

SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']""")

DEVELOPMENT = {"local", "dev", "devel", "develop", "development", "debug", "test", "tests", "testing", "ci"}


@dataclass(frozen=True)
class ChosenSettings:
    """The settings module to run with; None: no file names one."""

    module: str | None = None
    note: str = ""
    """Why it is this one, if a file names another."""
    for_development: str | None = None
    """The one that manage.py names, if that is another."""


def settings_in(file: Path) -> str | None:
    """Return the settings module that the Python file `file` sets as a default; None if it names none."""
    found = SETTINGS.search(source_of(file))
    return found[1] if found else None


def own_settings(directory: Path, app: str) -> str | None:
    """Return the settings module that the Celery app names for the case that DJANGO_SETTINGS_MODULE is not set."""
    module = directory / app.partition(":")[0].replace(".", "/")
    files = (module.with_name(f"{module.name}.py"), *(module / name for name in ("__init__.py", *APP_FILES)))
    return next(filter(None, map(settings_in, files)), None)


def choose_settings(
    directory: Path, files: Iterable[Path], roots: Sequence[Path], exported: str | None = None
) -> ChosenSettings:
    """Return the settings of the project in `directory`, of which `files` may name one, the most telling first.

    `exported`, which the caller's environment names, is preferred if the project has it; then settings for production
    that a file names, or a module for production beside the named one. `roots` are the directories that the modules are
    imported from.
    """
    meant = exported if exported and _exists(exported, roots) else None
    named: dict[str, list[str]] = {meant: ["your environment"]} if meant else {}
    for file in dict.fromkeys(files):
        module = settings_in(file)
        if module:
            named.setdefault(module, []).append(shown(file, directory))
    if not named:
        return ChosenSettings()
    chosen = meant or best(named) or _productive_sibling(list(named), roots) or next(reversed(named))
    by_manage = settings_in(directory / "manage.py")
    other = by_manage if by_manage != chosen else None
    if len(named) == 1 and chosen in named:
        return ChosenSettings(chosen)
    # The one that is written comes last.
    listed = [*(each for each in reversed(named) if each != chosen), *([chosen] if chosen in named else [])]
    phrases = ", ".join(phrase(module, named[module]) for module in listed)
    note = f"DJANGO_SETTINGS_MODULE: {phrases}; {chosen} is written; change settings if this host needs another"
    return ChosenSettings(chosen, note, other)


def shown(file: Path, directory: Path) -> str:
    """Return `file` as messages name it, relative to the directory of the project."""
    return str(file.relative_to(directory) if file.is_relative_to(directory) else file)


def phrase(module: str, where: Sequence[str]) -> str:
    """Return `FILE names MODULE`."""
    files = " and ".join(reversed(where))
    return f"{files} name{'s' if len(where) == 1 else ''} {module}"


def best(named: Iterable[str]) -> str | None:
    """Return the first module for production, or else the first that is not for development."""
    productive = [each for each in named if _last_words(each) & set(PRODUCTION)]
    others = [each for each in named if not _last_words(each) & DEVELOPMENT]
    return next(iter([*productive, *others]), None)


def _last_words(module: str) -> set[str]:
    return set(re.split(r"[._]", module.rpartition(".")[2].lower()))


def _productive_sibling(named: Iterable[str], roots: Sequence[Path]) -> str | None:
    """Return a module for production beside one for development: settings.production, or settings_prod."""
    for module in named:
        package, _, last = module.rpartition(".")
        for word in PRODUCTION:
            name = "_".join(word if part in DEVELOPMENT else part for part in last.split("_"))
            sibling = ".".join(filter(None, (package, name)))
            if _exists(sibling, roots):
                return sibling
    return None


def _exists(module: str, roots: Sequence[Path]) -> bool:
    paths = [root / module.replace(".", "/") for root in roots if re.fullmatch(r"[\w.]+", module)]
    return any(is_file(path.with_name(f"{path.name}.py")) or is_file(path / "__init__.py") for path in paths)
