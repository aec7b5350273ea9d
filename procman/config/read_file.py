"""Read procman.toml as text; imports little, because `status` starts with it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from procman.errors import ConfigurationError

LARGEST = 1024 * 1024
"""Bytes of a procman.toml; forty workers with everything set need 30,000."""

STANDARD_INPUT = Path("<stdin>")
"""The name of standard input in messages."""

NAME_PATTERN = r"[a-z][a-z0-9-]*"
"""The pattern of the name of a project or a program."""


def read_text(path: Path) -> str:
    """Return the text of the file `path`; ConfigurationError if it is missing, too large or not UTF-8."""
    try:
        if not path.is_file() and path.exists():
            raise ConfigurationError([f"{path}: expected a file, found something else"], hint="Name a procman.toml.")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(
            [f"{path}: cannot be read: {error.strerror}"], hint="`procman init` writes one."
        ) from None
    return _decoded(content, path)


def read_standard_input(stream: BinaryIO) -> str:
    """Return the text of a procman.toml that `stream` has; ConfigurationError as for a file."""
    try:
        content = stream.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError([f"{STANDARD_INPUT}: cannot be read: {error.strerror}"]) from None
    return _decoded(content, STANDARD_INPUT)


def _decoded(content: bytes, path: Path) -> str:
    if len(content) > LARGEST:
        raise ConfigurationError([f"{path}: larger than {LARGEST} bytes"], hint="Is this the right file?")
    try:
        # Editors on Windows start a file with a byte order mark.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        hint = "Save the file as UTF-8, or convert it, for example with iconv -f latin1 -t utf-8."
        raise ConfigurationError([f"{path}:{line}: invalid UTF-8"], hint=hint) from None


def normalised(path: Path) -> Path:
    """Return `path` without `.`, `..` and double slashes; `..` ignores symbolic links, as a shell's `cd` does."""
    # os.path.normpath would keep a leading `//`.
    parts: list[str] = []
    for part in path.parts[1:]:
        if part == "..":
            del parts[-1:]
        else:
            parts.append(part)
    return Path("/" + "/".join(parts))
