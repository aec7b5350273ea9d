"""A host to attack for each test, which takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.host import AttackedHost, attacked_hosts
from tests.install import people


@pytest.fixture
def host() -> Iterator[AttackedHost]:
    """A host with procman and a project to install."""
    yield from attacked_hosts()


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can enter."""
    yield from people.public_directory()
