"""Read a file of secrets, such as an environment file, without giving another user what only root can read (S3)."""

from __future__ import annotations

import os
from pathlib import Path

from procman.agent.environment_file import LARGEST, EnvironmentFileError, parse_environment_file
from procman.config.trust import trust_problems
from procman.errors import ProcmanError
from procman.secrets import KnownSecrets, known_secrets
from procman.subprocesses import CLEAN_ENVIRONMENT, capture

READING_SECONDS = 10.0


def private_content(path: Path, user: str | None) -> bytes:
    """Return the content of `path`; root reads it as `user` if other users could have placed a link there.

    Raises OSError, or ProcmanError if `user` cannot read it.
    """
    if os.geteuid() == 0 and user and trust_problems(path, {0}):
        words = ["head", "-c", str(LARGEST), "--", str(path)]
        errors = "surrogateescape"
        done = capture(words, environment=CLEAN_ENVIRONMENT, user=user, timeout=READING_SECONDS, errors=errors)
        return done.checked().stdout.encode("utf-8", errors)
    with path.open("rb") as file:
        return file.read(LARGEST)


def secrets_of_programs(environment_file: Path | None, user: str | None) -> KnownSecrets:
    """Return what the output of the programs may quote: the values of their environment file, and the caller's secrets.

    A file that cannot be read has none.
    """
    return known_secrets(_variables(environment_file, user), os.environ)


def _variables(path: Path | None, user: str | None) -> dict[str, str]:
    try:
        if path is None or not path.is_file():
            return {}
        text = private_content(path, user).decode("utf-8", "surrogateescape")
    except (OSError, ProcmanError):
        return {}
    try:
        return parse_environment_file(text)
    except EnvironmentFileError:
        # An earlier version of the file may have been valid, with the same secrets.
        pairs = (line.partition("=") for line in text.splitlines())
        return {name.strip().removeprefix("export "): value.strip().strip("\"'") for name, _, value in pairs}
