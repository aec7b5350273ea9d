"""The needs of a test as markers, by which `make unit` deselects tests.

A test gets a marker from its module, a decorator or a fixture. Code that starts a real program calls `requires`, which
fails a test without the marker. tests/conftest.py adds the markers of fixtures and keeps `running`.
"""

from __future__ import annotations

import pytest

OF_FIXTURES = {
    "celery_environment": ("celery",),
    "host": ("root", "supervisord"),
    "product": ("celery", "supervisord"),
    "product_with_each_celery": ("celery", "supervisord"),
    "reachable_python": ("celery",),
    "supervisord": ("supervisord",),
}
"""The markers that come with a fixture, by its name."""

NOT_ALONE = frozenset(
    ("supervisord", "celery", "versions", "engines", "package", "strace", "thorough", "root", "host", "chaos", "soak")
)
"""The markers of the tests that `make unit` deselects: how much of procman the tests cover is measured without them."""

running: list[pytest.Item] = []
"""The test that is being set up or runs; empty during teardown."""


def requires(marker: str) -> None:
    """Fail the running test unless it has `marker`."""
    for item in running:
        if not item.get_closest_marker(marker):
            pytest.fail(f"{item.nodeid} needs @pytest.mark.{marker}")
