"""What a process manager is asked in the background comes back as if it had been asked at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import cast

import pytest

from procman.backends.base import Controller
from procman.background import Asked
from procman.errors import ProcmanError
from procman.model import InstalledProgram, ProgramState, State


class Slow:
    """A process manager that answers when it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self._error = error

    def states(self, _: Sequence[InstalledProgram]) -> list[ProgramState]:
        """Answer, or fail, in its own time."""
        self.asked.set()
        assert self.go_on.wait(60)
        if self._error:
            raise self._error
        return [ProgramState("a", wanted=True, state=State.RUNNING)]


def test_answer_is_waited_for_only_where_it_is_needed() -> None:
    slow = Slow()
    asked = Asked(cast("Controller", slow), [])
    assert slow.asked.wait(60)
    slow.go_on.set()
    assert [each.state for each in asked.states()] == [State.RUNNING]


def test_error_is_raised_where_the_answer_is_needed() -> None:
    slow = Slow(ProcmanError("no"))
    asked = Asked(cast("Controller", slow), [])
    slow.go_on.set()
    with pytest.raises(ProcmanError, match="no"):
        asked.states()
