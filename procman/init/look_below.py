"""Look for the files and virtualenvs of a project below a directory, without running anything."""

from __future__ import annotations

import os
import re
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from procman.init.virtualenvs import is_environment

DEEPEST = 5
MOST_ENTRIES = 200_000
MOST_IN_DIRECTORY = 10_000
"""Entries of one directory that are looked at: one with more has uploads or caches, and no code."""
LARGEST_SOURCE = 262_144
SKIPPED = {"node_modules", "site-packages", "__pycache__", "proc", "sys"}
OF_VIRTUALENV = {"bin", "conda-meta", "etc", "include", "lib", "lib64", "libexec", "pkgs", "sbin", "share"}
"""The entries of a virtualenv, or of an environment of conda, that are no part of a project inside it."""

APP_FILES = ("celery.py", "celery_app.py", "celeryapp.py", "celeryconf.py")
PERHAPS_APP = re.compile(r"(?!test)\w*celery\w*\.py|(tasks|workers?|main|app)\.py")
"""Other files that define the app of many projects, such as Celery's first steps, Flask and FastAPI."""
SERVER_FILES = ("wsgi.py", "asgi.py")

APP = re.compile(
    r"^\w{1,100}\s{0,100}(?::[^=\n]{1,200})?=\s{0,100}[\w.]{0,200}"
    r"(?:Celery\w{0,100}\(|\.extensions\[[\"']celery[\"']\])",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Places:
    """The files and virtualenvs found below a directory, nearest first."""

    manage_files: tuple[Path, ...] = ()
    app_files: tuple[Path, ...] = ()
    """Those that define a Celery app and are named after Celery, or are in a package that is."""
    perhaps_app_files: tuple[Path, ...] = ()
    """Others that define a Celery app; they are read only if there are no `app_files`."""
    server_files: tuple[Path, ...] = ()
    """Those of the web server: wsgi.py and asgi.py."""
    virtualenvs: tuple[Path, ...] = ()
    named: tuple[Path, ...] = ()
    """The file of the module that was asked for, once for each directory to import it from."""
    is_complete: bool = True
    """False if the search ended early, at `MOST_ENTRIES`, or left out a part of a directory."""


@dataclass
class _Found:
    """The same while the search runs."""

    manage_files: list[Path] = field(default_factory=list)
    app_files: list[Path] = field(default_factory=list)
    perhaps_app_files: list[Path] = field(default_factory=list)
    server_files: list[Path] = field(default_factory=list)
    virtualenvs: list[Path] = field(default_factory=list)
    named: list[Path] = field(default_factory=list)

    def add(self, path: Path) -> bool:
        """Add the file `path` if it is of interest, and return whether it is."""
        if path.name == "manage.py":
            self.manage_files.append(path)
        elif path.name in APP_FILES or _is_in_celery_package(path):
            self.app_files.append(path)
        elif path.name in SERVER_FILES:
            self.server_files.append(path)
        elif PERHAPS_APP.fullmatch(path.name):
            self.perhaps_app_files.append(path)
        else:
            return False
        return True

    def places(self, *, is_complete: bool) -> Places:
        """Return what was found; of the files that may define an app, those that do."""
        app_files = tuple(filter(_defines_app, self.app_files))
        return Places(
            tuple(self.manage_files),
            app_files,
            () if app_files else tuple(filter(_defines_app, self.perhaps_app_files)),
            tuple(self.server_files),
            tuple(self.virtualenvs),
            tuple(self.named),
            is_complete,
        )


def look_below(top: Path, module: str | None = None) -> Places:
    """Return the places of interest in `top` and below, without following symbolic links to other trees.

    `module` is the dotted name of a module to look for.
    """
    found = _Found()
    waiting, seen, is_complete = deque([(top, 0)]), 0, True
    while waiting and seen < MOST_ENTRIES:
        directory, depth = waiting.popleft()
        entries = entries_of(directory)
        seen += len(entries)
        is_complete = is_complete and len(entries) < MOST_IN_DIRECTORY
        names = {entry.name for entry in entries}
        if names & {"pyvenv.cfg", "conda-meta"}:
            found.virtualenvs.append(directory)
            if directory != top:
                continue
            # The project may be inside its virtualenv, beside the directories of that.
            entries = [entry for entry in entries if entry.name not in OF_VIRTUALENV]
        if module and "__init__.py" not in names:
            found.named += _files_of(directory, module, names)
        for entry in entries:
            path = directory / entry.name
            if not found.add(path) and depth < DEEPEST and entry.name not in SKIPPED and _leads_on(entry):
                waiting.append((path, depth + 1))
    return found.places(is_complete=is_complete and not waiting)


def _files_of(directory: Path, module: str, names: set[str]) -> list[Path]:
    """Return the file of `module` if it can be imported from `directory`, whose entries are `names`."""
    first = module.partition(".")[0]
    if not names & {first, f"{first}.py"}:
        return []
    path = directory / module.replace(".", "/")
    return [file for file in (path.with_name(f"{path.name}.py"), path / "__init__.py") if is_file(file)][:1]


def entries_of(directory: Path) -> list[os.DirEntry[str]]:
    """Return the entries of `directory`, by name, at most `MOST_IN_DIRECTORY`; none if it cannot be read."""
    try:
        with os.scandir(directory) as entries:
            return sorted(islice(entries, MOST_IN_DIRECTORY), key=lambda entry: entry.name)
    except OSError:
        return []


def _leads_on(entry: os.DirEntry[str]) -> bool:
    # Hidden directories and links matter only as virtualenvs: .venv, or env -> /opt/envs/catmaid.
    if entry.name.startswith(".") or entry.is_symlink():
        return is_environment(Path(entry.path))
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_in_celery_package(path: Path) -> bool:
    # An app for each stage, as celery/live.py and celery/uat.py.
    return path.parent.name == "celery" and path.suffix == ".py" and not path.name.startswith("test")


def _defines_app(path: Path) -> bool:
    return bool(APP.search(source_of(path)))


def is_file(path: Path) -> bool:
    """Return whether `path` is a file that this process can reach."""
    # Path.is_file() raises an error in an inaccessible directory.
    return os.path.isfile(path)  # noqa: PTH113


def source_of(path: Path) -> str:
    """Return the text of a source file; empty if it cannot be read."""
    try:
        # A FIFO would block.
        if not is_file(path):
            return ""
        with path.open("rb") as file:
            return file.read(LARGEST_SOURCE).decode("utf-8", "replace")
    except OSError:
        return ""
