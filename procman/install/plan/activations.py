"""Which activations a plan needs, merged with those that an interrupted run did not carry out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from procman.install.plan.changes import Change
from procman.install.state.manifest import InstalledFile, Manifest, digest
from procman.model import Action, Activation, InstalledProgram, Kind
from procman.project import RenderedFile

WAY_UP = {Kind.BEAT: 1, Kind.HEALTH: 2}
"""Workers start before beat, so that beat sends nothing while no worker runs; the watcher starts last, stops first."""


def on_the_way_up(program: InstalledProgram) -> int:
    """Return the sort key for programs to start."""
    return WAY_UP.get(program.kind, 0)


def on_the_way_down(program: InstalledProgram) -> int:
    """Return the sort key for programs to stop."""
    return -on_the_way_up(program)


def changed_actions(changes: Iterable[Change], before: Manifest | None, desired: Collection[str]) -> dict[str, Action]:
    """Return the action that `changes` require for each program, compared with the manifest `before` (R5).

    `desired` names the programs that should exist afterwards. A file requires no action if only its comments, mode or
    owner change, or settings of a unit that a reload applies.
    """
    files = {file.path: file for file in before.files} if before else {}
    installed = {program.name for program in before.programs} if before else set()
    asked: dict[str, set[Action]] = defaultdict(set)
    for name in desired:
        asked[name] |= set() if name in installed else {Action.ADD}
    for change in changes:
        _ask(change, files.pop(change.path, None), installed, asked)
    for file in files.values():
        # Recorded before, but no longer rendered.
        for name in file.programs if file.restarts else ():
            asked[name].add(Action.REPLACE if file.section else Action.RESTART)
    actions = {name: Action.REMOVE for name in installed if name not in desired}
    return actions | {name: _strongest(asked[name]) for name in desired if asked[name]}


def merged_actions(
    pending: Mapping[str, Action], changed: Mapping[str, Action], desired: Collection[str]
) -> dict[str, Action]:
    """Return one action for each program that is in `pending` or `changed`.

    A pending action may have been carried out just before the interruption. REPLACE is right either way: it stops the
    program if it runs, and loads the current files.
    """
    merged = {}
    for name in (*pending, *changed):
        asked = {actions[name] for actions in (pending, changed) if name in actions}
        if name not in desired:
            merged[name] = Action.REMOVE
        else:
            merged[name] = Action.REPLACE if Action.REMOVE in asked else _strongest(asked)
    return merged


def ordered_activations(
    actions: Mapping[str, Action],
    desired: Sequence[InstalledProgram],
    before: Sequence[InstalledProgram],
    pending: Sequence[Activation],
) -> tuple[Activation, ...]:
    """Return the activations in the order to carry them out: removals in stop order, then the `desired` programs in
    start order.

    The records of programs to remove come from `before`, the current generation, or from `pending`.
    """
    known = {program.name: program for program in (*(each.program for each in pending), *before, *desired)}
    order = {program.name: number for number, program in enumerate(desired)}

    def rank(name: str) -> tuple[bool, int, int, str]:
        removed = actions[name] is Action.REMOVE
        way = on_the_way_down(known[name]) if removed else on_the_way_up(known[name])
        return not removed, way, order.get(name, 0), name

    left = {each.program.name: each for each in pending}
    loaded = {program.name: program for program in before}
    return tuple(
        _activation(actions[name], known[name], left.get(name), loaded.get(name)) for name in sorted(actions, key=rank)
    )


def _activation(
    action: Action, program: InstalledProgram, pending: Activation | None, loaded: InstalledProgram | None
) -> Activation:
    """Return the activation, with what the `pending` one had already recorded before the interruption."""
    timeouts = (
        loaded.stop_timeout_seconds if loaded else None,
        pending.old_stop_timeout_seconds if pending else None,
    )
    longest = max((timeout for timeout in timeouts if timeout is not None), default=None)
    signals = (pending.old_stop_signal if pending else None, loaded.stop_signal if loaded else None)
    other = next((each for each in signals if each not in (None, program.stop_signal)), None)
    return Activation(action, program, pending.desired if pending else None, longest, other)


def _ask(
    change: Change, before: InstalledFile | None, installed: Collection[str], asked: dict[str, set[Action]]
) -> None:
    file, content = change.new, change.new_content
    if file is None or content is None or not file.restarts:
        return
    recorded = before is not None and before.digest == digest(content)
    if recorded and change.old_content == content:
        return
    if change.needs_no_restart and before is not None and before.digest == digest(change.old_content or b""):
        # A program that was started from the old file runs as it would from the new one.
        return
    for name in file.programs:
        if name not in installed and change.old_content in (None, content):
            continue
        if recorded and change.found is None:
            # Missing from the disk: the process manager may have dropped the program, or may still run it.
            asked[name] |= {Action.ADD} if file.section else set()
        else:
            asked[name].add(_action_for(file))


def _action_for(file: RenderedFile) -> Action:
    if file.overlaps:
        return Action.OVERLAP
    return Action.REPLACE if file.section else Action.RESTART


def _strongest(asked: Collection[Action]) -> Action:
    # Any two actions together need what only REPLACE does: stop, load, start.
    others = {*asked} - {Action.OVERLAP}
    if len(asked) == 2 and others == {Action.RESTART}:
        return Action.RESTART
    return next(iter(asked)) if len(asked) == 1 else Action.REPLACE
