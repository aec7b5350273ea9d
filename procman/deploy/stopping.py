"""What a rollout does before it stops programs: record which ones should run, and end those to be removed together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from procman.backends import backend_named
from procman.backends.base import Controller, Progress
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state import generations
from procman.install.state.manifest import Manifest
from procman.model import Action, Activation


def end_together(
    manifest: Manifest, controller: Controller, activations: Sequence[Activation], progress: Progress
) -> None:
    """Stop all programs to be removed together, beat first, if the backend would otherwise stop them one by one.

    The stop then takes as long as the longest task, not as long as all tasks in turn.
    """
    going = [each.program for each in activations if each.action is Action.REMOVE]
    if len(going) > 1 and not backend_named(manifest.backend).stops_removed_together:
        # A program that cannot be stopped is reported when it is removed.
        with suppress(ProcmanError):
            controller.stop(going, progress)


def with_known_desired_states(tree: Tree, state: Path, controller: Controller) -> tuple[Activation, ...]:
    """Record each program's desired state before procman's own stop could be mistaken for an administrator's (R11)."""
    pending = generations.read_pending(tree, state)
    if pending is None:
        return ()
    unasked = [each.program for each in pending.activations if each.desired is None]
    if unasked:
        desired = controller.desired(unasked)
        asked = tuple(
            each if each.desired is not None else replace(each, desired=desired[each.program.name])
            for each in pending.activations
        )
        pending = replace(pending, activations=asked)
        generations.write_pending(tree, state, pending)
    return pending.activations
