"""Asks a process manager in the background: it takes its time, and there is other work meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from procman.model import InstalledProgram, ProgramState

if TYPE_CHECKING:
    from procman.backends.base import Controller


class Asked:
    """The states of programs, asked for from the moment this is made."""

    def __init__(self, controller: Controller, programs: Sequence[InstalledProgram]) -> None:
        self._states: list[ProgramState] = []
        self._error: BaseException | None = None
        # A daemon, so that nobody who interrupts procman waits for it.
        self._thread = threading.Thread(target=self._ask, args=(controller, programs), daemon=True)
        self._thread.start()

    def _ask(self, controller: Controller, programs: Sequence[InstalledProgram]) -> None:
        try:
            self._states = controller.states(programs)
        except BaseException as error:  # raised again where it belongs
            self._error = error

    def states(self) -> list[ProgramState]:
        """Wait for the answer and return one state per program, in order."""
        self._thread.join()
        if self._error:
            raise self._error
        return self._states
