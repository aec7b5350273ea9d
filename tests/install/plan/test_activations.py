"""What the process manager is told, and in which order (R2, R5, R11)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from procman.install.plan.activations import merged_actions, ordered_activations
from procman.model import Action, Activation, Kind
from tests.install.sample import installed

ADD, REPLACE, RESTART, REMOVE = Action.ADD, Action.REPLACE, Action.RESTART, Action.REMOVE
BASE = Path("/host")


@pytest.mark.parametrize(
    ("pending", "changed", "merged"),
    [
        (ADD, None, ADD),
        (REPLACE, None, REPLACE),
        (RESTART, None, RESTART),
        # It may have been unloaded already, or run as it was.
        (REMOVE, None, REPLACE),
        (None, ADD, ADD),
        (ADD, ADD, ADD),
        (RESTART, RESTART, RESTART),
        # It may not be loaded at all yet.
        (ADD, RESTART, REPLACE),
        (RESTART, REPLACE, REPLACE),
        (REPLACE, RESTART, REPLACE),
        (REPLACE, ADD, REPLACE),
        (RESTART, ADD, REPLACE),
        (REMOVE, ADD, REPLACE),
        (REMOVE, RESTART, REPLACE),
    ],
)
def test_wanted_program_gets_what_is_right_whether_the_pending_was_done_or_not(
    pending: Action | None, changed: Action | None, merged: Action
) -> None:
    assert merged_actions(_of_celery(pending), _of_celery(changed), ["catmaid-celery"]) == {"catmaid-celery": merged}


@pytest.mark.parametrize(("pending", "changed"), [*product(Action, [None, REMOVE]), (None, REMOVE)])
def test_program_that_is_not_wanted_is_removed_whatever_was_pending(
    pending: Action | None, changed: Action | None
) -> None:
    assert merged_actions(_of_celery(pending), _of_celery(changed), []) == {"catmaid-celery": REMOVE}


def test_beat_is_removed_first_and_started_last() -> None:
    desired = [installed(BASE, name) for name in ("new-beat", "b", "a")]
    before = [installed(BASE, name) for name in ("old", "old-beat", "b")]
    actions = {"old": REMOVE, "new-beat": ADD, "a": RESTART, "old-beat": REMOVE, "b": REPLACE}
    told = [(each.action, each.program.name) for each in ordered_activations(actions, desired, before, ())]
    assert told == [(REMOVE, "old-beat"), (REMOVE, "old"), (REPLACE, "b"), (RESTART, "a"), (ADD, "new-beat")]


def test_what_looks_after_them_all_goes_first_and_comes_last() -> None:
    health = replace(installed(BASE, "health"), kind=Kind.HEALTH)
    both = [installed(BASE, "a-beat"), health, installed(BASE, "z")]
    for action, names in ((REMOVE, ["health", "a-beat", "z"]), (ADD, ["z", "a-beat", "health"])):
        told = ordered_activations(dict.fromkeys(["a-beat", "health", "z"], action), both, both, ())
        assert [each.program.name for each in told] == names


def test_what_the_interrupted_run_found_out_is_kept() -> None:
    program = installed(BASE, "catmaid-celery")
    pending = Activation(RESTART, program, desired=False, old_stop_timeout_seconds=3600)
    (told,) = ordered_activations({"catmaid-celery": REPLACE}, [program], [program], [pending])
    assert (told.action, told.desired, told.old_stop_timeout_seconds) == (REPLACE, False, 3600)


def test_stop_timeout_of_what_is_loaded_is_told() -> None:
    program = installed(BASE, "catmaid-celery")
    (told,) = ordered_activations({"catmaid-celery": REPLACE}, [program], [program], ())
    assert (told.desired, told.old_stop_timeout_seconds) == (None, program.stop_timeout_seconds)
    (told,) = ordered_activations({"catmaid-celery": ADD}, [program], [], ())
    assert told.old_stop_timeout_seconds is None


def _of_celery(action: Action | None) -> dict[str, Action]:
    return {"catmaid-celery": action} if action else {}
