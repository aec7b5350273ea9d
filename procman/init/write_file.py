"""Write a new procman.toml, over no existing file and through no link."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from procman.config.find_file import NAME, path_for_host
from procman.config.trust import require_trust
from procman.errors import ConfigurationError, ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.model import Scope

FILE = NAME

DIRECTORY_MODE = 0o755


def default_path(name: str | None, scope: Scope) -> Path:
    """Return where the procman.toml of the project `name` belongs: as root, for the host, where only root can write.

    In most deployments the directory of the project belongs to the user of the programs, and root uses no file there
    (S3). A procman.toml that is already in the working directory is the one that every other command uses.
    """
    is_for_host = scope is Scope.SYSTEM and os.geteuid() == 0 and not os.path.lexists(FILE)
    return path_for_host(name) if is_for_host and name else Path(FILE)


def write(text: str, path: Path, *, force: bool, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Write `text` to `path`, which must not exist unless `force`; return why root would refuse to use it."""
    place = path.absolute()
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    if place.is_dir():
        raise ProcmanError(f"{path} is a directory", hint=f"Name a file: {path / FILE}")
    if place == path_for_host(place.parent.name):
        _make_directories(place.parent)
    try:
        _create(temporary if force else place, text)
        if force:
            temporary.replace(place)
    except OSError as error:
        if force:
            with suppress(OSError):
                temporary.unlink()
        elif isinstance(error, FileExistsError):
            raise ProcmanError(f"{path} already exists", hint="Use --force to overwrite it.") from None
        raise ProcmanError(f"cannot write {path}: {error.strerror}", hint=_hint(error, place)) from None
    try:
        require_trust(place, environment)
    except ConfigurationError as distrusted:
        return tuple(map(str, distrusted.problems))
    return ()


def _hint(error: OSError, place: Path) -> str:
    match error:
        case PermissionError():
            return "Run the same command with sudo, or name another file with --output."
        case FileNotFoundError():
            return f"Create the directory first: mkdir -p {shlex.quote(str(place.parent))}"
        case _:
            return ""


def require_free(paths: Sequence[Path]) -> None:
    """Raise ProcmanError if a file of `paths` exists, before any of them is written."""
    for path in paths:
        if os.path.lexists(path) and not path.is_dir():
            raise ProcmanError(f"{path} already exists", hint="Use --force to overwrite it.")


def _make_directories(path: Path) -> None:
    with Tree() as tree:
        for each in (path.parent, path):
            tree.make_directory(each, DIRECTORY_MODE)


def _create(path: Path, text: str) -> None:
    # Exclusive creation follows no symbolic link, not even a dangling one.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
