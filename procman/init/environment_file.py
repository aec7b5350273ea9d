"""Write the secrets of imported files to an environment file beside procman.toml, which only its owner can read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from procman.agent.environment_file import EnvironmentFileError, read_assignments
from procman.errors import ProcmanError

MODE = 0o600

HEAD = (
    "# Secrets of the programs, in the syntax of systemd's EnvironmentFile=. Only procman's programs should read it.\n"
)


def path_beside(configuration: Path) -> Path:
    """Return the path of the environment file for the procman.toml at `configuration`."""
    path = configuration.with_suffix(".env")
    return path if path != configuration else configuration.with_name(f"{configuration.name}.env")


def line_of(name: str, value: str) -> str | None:
    """Return the line that sets `name` to exactly `value`; None if no line of an environment file does."""
    escaped = re.sub(r'(["\\`$])', r"\\\1", value)
    for line in (f"{name}='{value}'\n", f'{name}="{escaped}"\n'):
        with suppress(EnvironmentFileError, ValueError):
            [read] = read_assignments(line)
            if (read.name, read.value) == (name, value):
                return line
    return None


def write_secrets(secrets: Mapping[str, str], path: Path) -> None:
    """Create the environment file `path`; raise ProcmanError, without a value, if it exists or cannot be written."""
    text = HEAD + "".join(filter(None, (line_of(name, value) for name, value in secrets.items())))
    try:
        # Exclusive creation follows no symbolic link, and no other user can read the file at any moment.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    except FileExistsError:
        raise _not_written(secrets, path, "it already exists, and is kept") from None
    except OSError as error:
        raise _not_written(secrets, path, str(error.strerror)) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        path.unlink()
        raise _not_written(secrets, path, str(error.strerror)) from None


def _not_written(secrets: Mapping[str, str], path: Path, reason: str) -> ProcmanError:
    hint = f"Put these variables of the imported file into {path}, with mode 0600: {', '.join(secrets)}"
    return ProcmanError(f"cannot write {path}: {reason}", hint=hint)
