"""Whole procman.toml files for tests, and the problems that the loader finds in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from procman.config.load import load
from procman.errors import ConfigurationError
from procman.project import Project

PROJECT = """[project]
name = "catmaid"
app = "mysite"
directory = "/opt/catmaid"
virtualenv = "/opt/env"
user = "www-data"
"""
"""A complete [project]; the text that a test adds starts on line 7."""

USER_SCOPE = PROJECT.replace('user = "www-data"', 'scope = "user"')
"""The same in user scope."""

HOME = {"HOME": "/home/anna"}


def read(directory: Path, text: str, environment: Mapping[str, str] = HOME) -> Project:
    """Return the project of a procman.toml with the content `text`."""
    path = directory / "procman.toml"
    path.write_text(text, encoding="utf-8", newline="")
    return load(path, environment)


def read_rest(directory: Path, rest: str) -> Project:
    """Return the project of a procman.toml with the usual [project], followed by `rest`."""
    return read(directory, PROJECT + rest)


def problems(directory: Path, text: str | bytes, environment: Mapping[str, str] = HOME) -> list[str]:
    """Return the problems of an invalid procman.toml, with `FILE` for its path."""
    path = directory / "procman.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as raised:
        load(path, environment)
    return [problem.replace(str(path), "FILE") for problem in raised.value.problems]


def problems_with(directory: Path, rest: str) -> list[str]:
    """Return the problems of `rest` after the usual [project]."""
    return problems(directory, PROJECT + rest)
