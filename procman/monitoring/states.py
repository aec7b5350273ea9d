"""Find out the state of each program: from the process manager, or as far as this user sees it without."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from procman.lookup import Installed
from procman.model import InstalledProgram, ProgramState, State

if TYPE_CHECKING:
    # `status` must not wait for the import of what only types name.
    from procman.backends.base import Controller


def states_of(installed: Installed, controller: Controller, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
    """Return one state per program, in order, within the time limit of `controller` (R10)."""
    states = controller.states(programs)
    if installed.pending and installed.is_half_removed:
        left = {each.program.name for each in installed.pending.activations}
        # The process manager is meant to be stopped, too.
        states = [_unless_removed(state, left)._replace(manager_problem="", manager_remedy="") for state in states]
    if any(state.answers_only for state in states):
        # Imported only for a user whom supervisord does not answer.
        from procman.monitoring.seen_states import as_seen

        states = as_seen(installed.manifest, programs, states)
    return states


def answers_only(states: Iterable[ProgramState]) -> str:
    """Return whom alone the process manager answers, if `states` are therefore as the caller sees them; or empty."""
    return next((state.answers_only for state in states if state.answers_only), "")


def _unless_removed(state: ProgramState, left: set[str]) -> ProgramState:
    if state.name in left or (state.state is not State.UNKNOWN and not state.manager_problem):
        return state
    return ProgramState(state.name, False, State.STOPPED, detail="removed")
