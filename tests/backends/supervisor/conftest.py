"""Fixtures with a real supervisord."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backends.supervisor.real_supervisord import Supervisord


@pytest.fixture
def supervisord() -> Iterator[Supervisord]:
    """A supervisord of the test's own; not started yet."""
    own = Supervisord()
    try:
        yield own
    finally:
        own.close()
