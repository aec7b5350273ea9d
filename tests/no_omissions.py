"""A pytest plugin that fails skipped tests if CI=true, except those that miss an interpreter.

No machine has all interpreters. tests/conftest.py loads the plugin.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

EXCUSE = "no Python "
"""The start of the reason of a skip for a missing interpreter."""


def _is_omission(report: pytest.TestReport | pytest.CollectReport) -> bool:
    # The outcome of an expected failure is "skipped" too.
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return False
    return not _reason(report).startswith(EXCUSE)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(text).removeprefix("Skipped: ")


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    report.longrepr = f"left out, which CI=true forbids: {_reason(report)}"
    report.outcome = "failed"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that was skipped."""
    report = yield
    if _is_omission(report):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that was skipped as a whole."""
    report = yield
    if _is_omission(report):
        _fail(report)
    return report
