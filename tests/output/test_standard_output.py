"""Text is fitted to the standard output at the time of the call, which is not that of the import."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable

import pytest

from procman.lint.inputs import LintReport
from procman.monitoring.lost_tasks import LostTasks
from procman.output import check, lost


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
    ],
)
def test_standard_output_is_that_of_the_call(
    lines: Callable[[], Iterable[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Watched()
    monkeypatch.setattr(sys, "stdout", stream)
    list(lines())
    assert stream.asked
