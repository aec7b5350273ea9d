"""Which programs are activated together, and which wait for others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.deploy.rollout import _batches
from procman.model import Action, Activation, Kind
from tests.install.sample import installed

ADD, REPLACE, RESTART, REMOVE = Action.ADD, Action.REPLACE, Action.RESTART, Action.REMOVE
KINDS = {"w": Kind.WORKER, "c": Kind.COMMAND, "b": Kind.BEAT}


@pytest.mark.parametrize(
    ("actions", "at_once", "together"),
    [
        # Nothing is down while new programs start; but beat waits for the workers.
        ([(ADD, "w1 w2 w3 c1 b")], 1, ["w1 w2 w3", "c1", "b"]),
        ([(REPLACE, "w1 w2 w3 b")], 1, ["w1", "w2", "w3", "b"]),
        ([(REPLACE, "w1 w2 w3 b")], 2, ["w1 w2", "w3", "b"]),
        ([(REPLACE, "w1"), (RESTART, "w2")], 9, ["w1 w2"]),
        ([(RESTART, "w1"), (ADD, "w2 w3"), (RESTART, "w4")], 9, ["w1", "w2 w3", "w4"]),
        ([(REMOVE, "b w1 w2")], 9, ["b", "w1", "w2"]),
        ([], 1, []),
    ],
)
def test_activations_are_batched_by_kind_and_action(
    actions: list[tuple[Action, str]], at_once: int, together: list[str]
) -> None:
    activations = [
        Activation(action, replace(installed(Path("/host"), name), kind=KINDS[name[0]]))
        for action, names in actions
        for name in names.split()
    ]
    found = [" ".join(each.program.name for each in batch) for batch in _batches(activations, at_once)]
    assert found == together


@pytest.mark.parametrize(("at_once", "together"), [(1, ["w1", "w2", "w3", "b"]), (2, ["w1 w2", "w3", "b"])])
def test_programs_that_replace_adopted_ones_wait_for_each_other_as_in_a_restart(
    at_once: int, together: list[str]
) -> None:
    """While each starts, the program that it replaces is down."""
    names = ("w1", "w2", "w3", "b")
    activations = [Activation(ADD, replace(installed(Path("/host"), name), kind=KINDS[name[0]])) for name in names]
    found = [" ".join(each.program.name for each in batch) for batch in _batches(activations, at_once, names)]
    assert found == together
