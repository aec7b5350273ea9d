"""Find out the state of each program: from the process manager, and from what an interrupted uninstall recorded."""

from __future__ import annotations

from collections.abc import Sequence

from procman.backends.base import Controller
from procman.lookup import Installed
from procman.model import InstalledProgram, ProgramState, State


def states_of(installed: Installed, controller: Controller, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
    """Return one state per program, in order, within the time limit of `controller` (R10)."""
    states = controller.states(programs)
    if installed.pending and installed.is_half_removed:
        left = {each.program.name for each in installed.pending.activations}
        states = [_unless_removed(state, left) for state in states]
    return states


def _unless_removed(state: ProgramState, left: set[str]) -> ProgramState:
    if state.name in left or state.state is not State.UNKNOWN:
        return state
    return ProgramState(state.name, False, State.STOPPED, detail="removed")
