"""A launcher that only waits, for processes that look like programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.monitoring.checks.records import WAITING


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """Return a launcher that waits until its standard input ends."""
    path = tmp_path / "launcher.py"
    path.write_text(WAITING)
    return path
