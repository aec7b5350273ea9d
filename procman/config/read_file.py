"""procman.toml as text, and what a text must be like; imports little, for `status` starts with it."""

from __future__ import annotations

from pathlib import Path

from procman.errors import ConfigurationError

LARGEST = 1024 * 1024
"""Bytes of a procman.toml; forty workers with everything set need 30,000."""

NAME_PATTERN = r"[a-z][a-z0-9-]*"
"""What a name of a project or a program is made of."""


def read_text(path: Path) -> str:
    """Return the text of the file PATH; ConfigurationError says why it cannot be read."""
    try:
        if not path.is_file() and path.exists():
            raise ConfigurationError([f"{path}: expected a file, found something else"], hint="Name a procman.toml.")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(
            [f"{path}: cannot be read: {error.strerror}"], hint="`procman init` writes one."
        ) from None
    if len(content) > LARGEST:
        raise ConfigurationError([f"{path}: larger than {LARGEST} bytes"], hint="Is this the right file?")
    try:
        # Editors on Windows begin a text with a byte order mark.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        hint = "Save it as UTF-8; iconv -f latin1 -t utf-8 converts a file."
        raise ConfigurationError([f"{path}:{line}: this is not UTF-8"], hint=hint) from None


def normalised(path: Path) -> Path:
    """Return PATH without `.`, `..` and double slashes; `..` is taken as written, as a shell's `cd` does."""
    # os.path.normpath would keep a leading `//`.
    parts: list[str] = []
    for part in path.parts[1:]:
        if part == "..":
            del parts[-1:]
        else:
            parts.append(part)
    return Path("/" + "/".join(parts))
