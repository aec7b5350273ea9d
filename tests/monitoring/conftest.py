"""An installed project with one worker, whose run directory exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.install.state.manifest import Manifest
from tests.install import sample


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Return the manifest of a project with the worker `catmaid-celery`."""
    wish = sample.DESIRED_STATES["one"]
    found = sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))
    found.directories.run("catmaid-celery").mkdir(parents=True)
    return found
