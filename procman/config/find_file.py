"""Which procman.toml is meant: --config, PROCMAN_CONFIG, or the nearest one in the working directory and above it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from procman.config.trust import require_trust
from procman.errors import ConfigurationError

NAME = "procman.toml"
VARIABLE = "PROCMAN_CONFIG"


def find(explicit: Path | None, environment: Mapping[str, str], directory: Path) -> Path | None:
    """Return the absolute path of the procman.toml that is meant; None if none is named and none found.

    EXPLICIT is --config; it and PROCMAN_CONFIG in ENVIRONMENT may be relative to DIRECTORY, an absolute path. Raises
    ConfigurationError where the file is missing or cannot be read and, for root, where others could change it (S3).
    """
    named = environment.get(VARIABLE, "")
    if explicit is not None:
        return _usable(directory / explicit, "--config names it", environment)
    if named:
        return _usable(directory / named, f"{VARIABLE} names it", environment)
    for place in (directory, *directory.parents):
        path = place / NAME
        if os.path.lexists(path):
            return _usable(path, "", environment)
    return None


def _usable(path: Path, why: str, environment: Mapping[str, str]) -> Path:
    because = f" ({why})" if why else ""
    if ".." in path.parts:
        # What `..` means depends on links before it; relative paths in the file must start where the file really is.
        path = path.parent.resolve() / path.name
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            what, hint = ("a directory", f"Perhaps {path / NAME}?") if path.is_dir() else ("no file", "")
            raise ConfigurationError([f"{path}: {what}{because}, expected a file"], hint=hint)
        require_trust(path, environment)
        path.open("rb").close()
    except OSError as error:
        raise _not_readable(path, because, error) from None
    return path


def _not_readable(path: Path, because: str, error: OSError) -> ConfigurationError:
    match error:
        case FileNotFoundError() if path.is_symlink():
            return ConfigurationError([f"{path}: a link that leads nowhere{because}"], hint="Mend or remove it.")
        case FileNotFoundError():
            return ConfigurationError([f"{path}: there is no such file{because}"], hint="`procman init` writes one.")
        case PermissionError():
            hint = "Try it as its owner, or as root."
            return ConfigurationError([f"{path}: you may not read it{because}"], hint=hint)
        case _:
            return ConfigurationError([f"{path}: cannot be read{because}: {error.strerror}"])
