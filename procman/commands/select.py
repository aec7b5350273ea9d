"""Which project a command is about: a procman.toml at hand, or what is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from procman.config.load import load
from procman.config.search import find
from procman.errors import ConfigurationError
from procman.model import Project


def configured(
    configuration: Path | None, name: str | None, environment: Mapping[str, str], directory: Path
) -> Project:
    """Return the project of the procman.toml that is named, found, or recorded when the project NAME was installed."""
    path = find(configuration, environment, directory)
    if path is None:
        raise ConfigurationError(
            [f"no procman.toml in {directory} or above"], hint="`procman init` writes one; --config names another."
        )
    return load(path, environment)
