"""A host to attack for each test; it costs a tenth of a second."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.attacks.host import AttackedHost
from tests.host.overlay import HostError


@pytest.fixture
def host() -> Iterator[AttackedHost]:
    """A host with procman and a project to be installed. Where none can be made its tests are skipped."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be root and its enemy")
    attacked = AttackedHost()
    try:
        attacked.__enter__()
    except HostError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no host can be made here: {error}")
    try:
        yield attacked
    finally:
        attacked.__exit__(None, None, None)
