"""What a test needs, said by its markers, which is how `make unit` leaves tests out.

A test gets a marker from its module, from a decorator, or from a fixture it uses. What starts a real program calls
`requires`, which fails a test without the marker. tests/conftest.py keeps `running` and gives the markers.
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
"""The markers that a test gets with a fixture, by the fixture's name."""

running: list[pytest.Item] = []
"""The test that is set up or runs; none while one is torn down."""


def requires(marker: str) -> None:
    """Fail the running test unless it carries `marker`."""
    for item in running:
        if not item.get_closest_marker(marker):
            pytest.fail(f"{item.nodeid} needs @pytest.mark.{marker}")
