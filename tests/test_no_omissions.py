"""Skipped tests fail in CI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CHECKOUT = Path(__file__).parent.parent

Run = Callable[..., pytest.RunResult]

OMISSIONS = """
import pytest

def test_called():
    pytest.skip("no root")

@pytest.mark.skip(reason="no root")
def test_marked(): pass

@pytest.mark.skipif(True, reason="no root")
def test_marked_by_condition(): pass

@pytest.fixture
def it():
    pytest.skip("no root")

def test_in_a_fixture(it): pass
"""

WHOLE_MODULE = """
import pytest
pytest.skip("no root", allow_module_level=True)
"""

EXCUSED = """
import pytest

def test_interpreter():
    pytest.skip("no Python 3.6 to 3.10 found for Celery 4.4.7")

@pytest.mark.xfail(reason="known")
def test_expected():
    assert False

def test_it(): pass
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run tests with `CI` set to a value, and more arguments."""
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(text: str, ci: str, *words: str) -> pytest.RunResult:
        monkeypatch.setenv("CI", ci)
        pytester.makepyfile(text)
        return pytester.runpytest("-p", "tests.no_omissions", "-p", "no:cacheprovider", *words)

    return run


def test_skip_is_a_failure_in_ci(run: Run) -> None:
    result = run(OMISSIONS, "true")
    result.assert_outcomes(failed=1, errors=3)
    result.stdout.fnmatch_lines("left out, which CI=true forbids: no root")


def test_skip_of_a_module_is_a_failure_in_ci(run: Run) -> None:
    result = run(WHOLE_MODULE, "true")
    assert result.ret is pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines("left out, which CI=true forbids: no root*")


def test_skip_is_a_failure_with_several_workers_too(run: Run) -> None:
    run(OMISSIONS, "true", "-p", "xdist", "-n", "1").assert_outcomes(failed=1, errors=3)


def test_skip_is_allowed_outside_ci(run: Run) -> None:
    run(OMISSIONS, "").assert_outcomes(skipped=4)


def test_missing_interpreter_and_expected_failure_are_allowed_in_ci(run: Run) -> None:
    run(EXCUSED, "true").assert_outcomes(skipped=1, xfailed=1, passed=1)
