"""Add procman's own orders to the states that a process manager reports, because it forgets them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from procman.errors import ProcmanError
from procman.host.process import alive, boot_id, identity
from procman.install.safe_fs.tree import Tree
from procman.install.state.desired_states import DesiredState, read_desired
from procman.model import ProgramState, State

NOT_COMPLETED = "was not completed"
"""How the detail of a program ends whose restart was interrupted: nothing will start it again."""


def with_orders(states: Sequence[ProgramState], state: Path | None) -> list[ProgramState]:
    """Return `states` with the desired states that the orders in the project's directory `state` add.

    During a restart, and after one that was interrupted, a stopped program should run. A program that was stopped on
    purpose should not, although its process manager, which was started since, has never started it.
    """
    if state is None:
        return list(states)
    try:
        with Tree() as tree:
            orders = read_desired(tree, state, boot_id())
    except ProcmanError:
        return list(states)
    return [_with_order(each, orders[each.name]) if each.name in orders else each for each in states]


def _with_order(state: ProgramState, order: DesiredState) -> ProgramState:
    # A start by any other means ends an order.
    if state.state not in (State.STOPPED, State.STOPPING) or (state.started or 0.0) > order.at:
        return state
    if not order.desired:
        return state._replace(desired=False)
    detail = f"being restarted by {order.by}" if _is_going_on(order) else f"its restart by {order.by} {NOT_COMPLETED}"
    return state._replace(desired=True, detail=detail)


def _is_going_on(order: DesiredState) -> bool:
    # In a container, process 1 may never reap a process that was killed.
    pid = int(order.process.split()[0]) if order.process else None
    return pid is not None and identity(pid) == order.process and alive(pid)
