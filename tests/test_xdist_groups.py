"""Tests of one xdist group run on one worker, because they share an expensive or unique resource."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

GROUPED = """
import os
import pytest

pytestmark = pytest.mark.xdist_group("one")

@pytest.mark.parametrize("number", range(8))
def test_worker(number):
    with open("workers", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
"""


def test_group_stays_on_one_worker(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(GROUPED)
    pytester.runpytest("-p", "xdist", "-n", "2", "--dist", "loadgroup").assert_outcomes(passed=8)
    workers = (pytester.path / "workers").read_text().split()
    assert len(set(workers)) == 1, "these versions of pytest and pytest-xdist do not go together: see setup.cfg"
