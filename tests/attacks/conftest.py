"""A host to attack for each test; it costs a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.host import AttackedHost, attacked_hosts


@pytest.fixture
def host() -> Iterator[AttackedHost]:
    """A host with procman and a project to be installed."""
    yield from attacked_hosts()
