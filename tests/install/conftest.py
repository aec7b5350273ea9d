"""A separate host for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from procman.install.safe_fs.tree import Tree
from tests.install import people, sample


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Return the root of a host without procman."""
    return sample.make_host(tmp_path / "host")


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a directory that every user can enter."""
    yield from people.public_directory()


@pytest.fixture
def tree() -> Iterator[Tree]:
    """Return the file system as procman uses it."""
    with Tree() as tree:
        yield tree
