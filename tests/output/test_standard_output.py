"""Text is fitted to the standard output at the time of the call, which is not that of the import."""

from __future__ import annotations

import importlib
import inspect
import io
import pkgutil
import sys
from collections.abc import Callable, Iterable

import pytest

import procman.output
from procman.lint.inputs import LintReport
from procman.monitoring.lost_tasks import LostTasks
from procman.output import check, every_project, history, lost


class Watched(io.StringIO):
    """A standard output that tells when it is asked."""

    asked = False

    def isatty(self) -> bool:
        self.asked = True
        return False


@pytest.mark.parametrize(
    "lines",
    [
        lambda: check.as_text([], verbose=False),
        lambda: check.lint_as_text(LintReport((), (), (), ()), verbose=False),
        lambda: lost.as_text(LostTasks("shop", ())),
        lambda: history.as_text([]),
        lambda: every_project.as_list([]),
    ],
)
def test_standard_output_is_that_of_the_call(
    lines: Callable[[], Iterable[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Watched()
    monkeypatch.setattr(sys, "stdout", stream)
    list(lines())
    assert stream.asked


def test_no_function_of_output_has_a_stream_of_the_import() -> None:
    names = [each.name for each in pkgutil.iter_modules(procman.output.__path__, "procman.output.")]
    functions = [
        function for name in names for _, function in inspect.getmembers(importlib.import_module(name), callable)
    ]
    own = [each for each in functions if getattr(each, "__module__", "").startswith("procman.output.")]
    assert len(own) > 50
    assert [each for each in own if any(_is_stream(default) for default in _defaults(each))] == []


def _defaults(function: Callable[..., object]) -> list[object]:
    return [parameter.default for parameter in inspect.signature(function).parameters.values()]


def _is_stream(default: object) -> bool:
    return hasattr(default, "write") and hasattr(default, "flush")
