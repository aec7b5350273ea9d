"""Which activations a plan has, and their order (R2, R5, R11)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

from procman.install.plan.activations import merged_actions, ordered_activations
from procman.model import Action, Activation, Kind
from tests.install.sample import installed
from tests.tables import for_each

ADD, REPLACE, RESTART, REMOVE = Action.ADD, Action.REPLACE, Action.RESTART, Action.REMOVE
BASE = Path("/host")


@for_each(
    ("pending", "changed", "merged"),
    [
        (ADD, None, ADD),
        (REPLACE, None, REPLACE),
        (RESTART, None, RESTART),
        # The program may have been unloaded already, or still run as before.
        (REMOVE, None, REPLACE),
        (None, ADD, ADD),
        (ADD, ADD, ADD),
        (RESTART, RESTART, RESTART),
        # The program may not be loaded yet.
        (ADD, RESTART, REPLACE),
        (RESTART, REPLACE, REPLACE),
        (REPLACE, RESTART, REPLACE),
        (REPLACE, ADD, REPLACE),
        (RESTART, ADD, REPLACE),
        (REMOVE, ADD, REPLACE),
        (REMOVE, RESTART, REPLACE),
    ],
)
def test_merged_action_is_right_whether_pending_was_done_or_not(
    pending: Action | None, changed: Action | None, merged: Action
) -> None:
    assert merged_actions(_of_celery(pending), _of_celery(changed), ["catmaid-celery"]) == {"catmaid-celery": merged}


@for_each(("pending", "changed"), [*product(Action, [None, REMOVE]), (None, REMOVE)])
def test_unwanted_program_is_removed_whatever_is_pending(pending: Action | None, changed: Action | None) -> None:
    assert merged_actions(_of_celery(pending), _of_celery(changed), []) == {"catmaid-celery": REMOVE}


def test_beat_is_removed_first_and_started_last() -> None:
    desired = [installed(BASE, name) for name in ("new-beat", "b", "a")]
    before = [installed(BASE, name) for name in ("old", "old-beat", "b")]
    actions = {"old": REMOVE, "new-beat": ADD, "a": RESTART, "old-beat": REMOVE, "b": REPLACE}
    ordered = [(each.action, each.program.name) for each in ordered_activations(actions, desired, before, ())]
    assert ordered == [(REMOVE, "old-beat"), (REMOVE, "old"), (REPLACE, "b"), (RESTART, "a"), (ADD, "new-beat")]


def test_watcher_is_stopped_first_and_started_last() -> None:
    health = replace(installed(BASE, "health"), kind=Kind.HEALTH)
    both = [installed(BASE, "a-beat"), health, installed(BASE, "z")]
    for action, names in ((REMOVE, ["health", "a-beat", "z"]), (ADD, ["z", "a-beat", "health"])):
        ordered = ordered_activations(dict.fromkeys(["a-beat", "health", "z"], action), both, both, ())
        assert [each.program.name for each in ordered] == names


def test_pending_desired_state_and_stop_timeout_are_kept() -> None:
    program = installed(BASE, "catmaid-celery")
    pending = Activation(RESTART, program, desired=False, old_stop_timeout_seconds=3600)
    (merged,) = ordered_activations({"catmaid-celery": REPLACE}, [program], [program], [pending])
    assert (merged.action, merged.desired, merged.old_stop_timeout_seconds) == (REPLACE, False, 3600)


def test_activation_has_stop_timeout_of_loaded_program() -> None:
    program = installed(BASE, "catmaid-celery")
    (merged,) = ordered_activations({"catmaid-celery": REPLACE}, [program], [program], ())
    assert (merged.desired, merged.old_stop_timeout_seconds) == (None, program.stop_timeout_seconds)
    (merged,) = ordered_activations({"catmaid-celery": ADD}, [program], [], ())
    assert merged.old_stop_timeout_seconds is None


def test_activation_has_the_stop_signal_of_the_loaded_program_if_that_is_another() -> None:
    """It would not end the program: an administrator who sets INT does so because uwsgi reloads on TERM."""
    before = installed(BASE, "catmaid-web")
    after = replace(before, stop_signal="INT")
    (changed,) = ordered_activations({"catmaid-web": REPLACE}, [after], [before], ())
    assert changed.old_stop_signal == "TERM"
    # After an interruption the manifest has the new signal, and supervisord may still have the old one.
    (again,) = ordered_activations({"catmaid-web": REPLACE}, [after], [after], [changed])
    assert again.old_stop_signal == "TERM"
    (same,) = ordered_activations({"catmaid-web": REPLACE}, [after], [after], ())
    assert same.old_stop_signal is None


def _of_celery(action: Action | None) -> dict[str, Action]:
    return {"catmaid-celery": action} if action else {}
