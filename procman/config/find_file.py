"""Find procman.toml: `--config`, `PROCMAN_CONFIG`, the nearest one in the working directory and above, or in /etc."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from procman.config.directories import OF_HOST
from procman.config.trust import require_trust
from procman.errors import ConfigurationError

NAME = "procman.toml"
VARIABLE = "PROCMAN_CONFIG"


STREAM = re.compile(r"/dev/(stdin|fd/)|/proc/[^/]+/fd/")
"""The paths of a stream, such as those that a shell makes for `<(...)`: the next command could not read it again."""

FROM_STANDARD_INPUT = "render, check and diff read procman.toml from standard input with --config -"


class Located(NamedTuple):
    """The place of a procman.toml, which may be missing or unusable."""

    path: Path
    """Absolute."""
    why: str
    """How it was named; empty if it was found."""


def working_directory(environment: Mapping[str, str]) -> Path:
    """Return the absolute path of the working directory as the shell has it in `PWD`, through symbolic links.

    A release is often reached by a link, such as /srv/shop/current: the paths of a procman.toml below it must follow
    the link when it points to another release. Raises OSError if the directory is gone.
    """
    here, named = Path.cwd(), Path(environment.get("PWD", ""))
    try:
        is_same = named.is_absolute() and named.samefile(here)
    except OSError:
        is_same = False
    return named if is_same else here


def locate(explicit: Path | None, environment: Mapping[str, str], directory: Path) -> Located | None:
    """Return which procman.toml to use; None if none is named and none found.

    `explicit` is `--config`; it and `PROCMAN_CONFIG` in `environment` may be relative to `directory`, an absolute path.
    """
    named = environment.get(VARIABLE, "")
    if explicit is not None:
        return Located(_without_dots(directory / explicit), "named by --config")
    if named:
        return Located(_without_dots(directory / named), f"named by {VARIABLE}")
    for place in (directory, *directory.parents):
        path = place / NAME
        if os.path.lexists(path):
            return Located(_without_dots(path), "")
    return None


def path_for_host(project: str) -> Path:
    """Return the procman.toml of a project in /etc, where only root can write: `procman init` as root writes it."""
    return OF_HOST / project / NAME


def files_for_host() -> dict[str, Path]:
    """Return the files at `path_for_host` that exist, by the name of the project."""
    try:
        paths = {each.name: each / NAME for each in sorted(OF_HOST.iterdir())}
    except OSError:
        return {}
    return {name: path for name, path in paths.items() if os.path.lexists(path)}


def find(explicit: Path | None, environment: Mapping[str, str], directory: Path) -> Path | None:
    """Return the absolute path of the procman.toml that `locate` returns.

    Raises ConfigurationError if the file is missing or cannot be read and, for root, if other users can modify it (S3).
    """
    located = locate(explicit, environment, directory)
    return usable(located, environment) if located else None


def _without_dots(path: Path) -> Path:
    # The meaning of `..` depends on links before it, and relative paths in the file start from its real directory.
    return path.parent.resolve() / path.name if ".." in path.parts else path


def usable(located: Located, environment: Mapping[str, str]) -> Path:
    """Return the path of the file at `located`; raise ConfigurationError as `find` does."""
    path, because = located.path, f" ({located.why})" if located.why else ""
    if STREAM.match(str(path)):
        problem = f"{path}: expected a file, found a stream of this process{because}"
        raise ConfigurationError([problem], hint=FROM_STANDARD_INPUT)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            is_directory = path.is_dir()
            what, hint = (
                ("a directory", f"Did you mean {path / NAME}?")
                if is_directory
                else ("something else", FROM_STANDARD_INPUT)
            )
            raise ConfigurationError([f"{path}: expected a file, found {what}{because}"], hint=hint)
        require_trust(path, environment)
        path.open("rb").close()
    except OSError as error:
        raise _not_readable(path, because, error) from None
    return path


def _not_readable(path: Path, because: str, error: OSError) -> ConfigurationError:
    match error:
        case FileNotFoundError() if path.is_symlink():
            return ConfigurationError([f"{path}: dangling symbolic link{because}"], hint="Fix or remove the link.")
        case FileNotFoundError():
            return ConfigurationError([f"{path}: no such file{because}"], hint="`procman init` writes one.")
        case PermissionError():
            hint = "Run the command as the owner of the file, or as root."
            return ConfigurationError([f"{path}: permission denied{because}"], hint=hint)
        case _:
            return ConfigurationError([f"{path}: cannot be read{because}: {error.strerror}"])
