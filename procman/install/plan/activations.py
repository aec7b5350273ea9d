"""What the process manager must be told about a plan's programs, merged with what an interrupted run left untold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from procman.install.plan.changes import Change
from procman.install.state.manifest import InstalledFile, Manifest, digest
from procman.model import Action, Activation, InstalledProgram, Kind

WAY_UP = {Kind.BEAT: 1, Kind.HEALTH: 2}
"""Beat sends nothing while no worker is up; what looks after them all is up only while they are to be."""


def on_the_way_up(program: InstalledProgram) -> int:
    """Return what to sort programs by that are to be started."""
    return WAY_UP.get(program.kind, 0)


def on_the_way_down(program: InstalledProgram) -> int:
    """Return what to sort programs by that are to be stopped."""
    return -on_the_way_up(program)


def changed_actions(changes: Iterable[Change], before: Manifest | None, desired: Collection[str]) -> dict[str, Action]:
    """Return what CHANGES ask for, by program, compared with the manifest BEFORE (R5).

    DESIRED names the programs to be.
    It goes by content: a file that only gets its mode or owner back asks for nothing.
    """
    files = {file.path: file for file in before.files} if before else {}
    installed = {program.name for program in before.programs} if before else set()
    asked: dict[str, set[Action]] = defaultdict(set)
    for name in desired:
        asked[name] |= set() if name in installed else {Action.ADD}
    for change in changes:
        _ask(change, files.pop(change.path, None), installed, asked)
    for file in files.values():
        # Listed before, and rendered no longer.
        for name in file.programs if file.restarts else ():
            asked[name].add(Action.REPLACE if file.section else Action.RESTART)
    actions = {name: Action.REMOVE for name in installed if name not in desired}
    return actions | {name: _strongest(asked[name]) for name in desired if asked[name]}


def merged_actions(
    pending: Mapping[str, Action], changed: Mapping[str, Action], desired: Collection[str]
) -> dict[str, Action]:
    """Return one action for each program that PENDING or CHANGED names.

    Whether a pending action was carried out just before the interruption cannot be known. REPLACE is right either way:
    it stops what runs, if anything does, and loads what is there now.
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
    """Return the activations as they are to be carried out: removals first, on the way down; then the programs DESIRED,
    on the way up, in their order.

    A program that is no longer wanted is known from BEFORE, the current generation, or from what is PENDING.
    """
    known = {program.name: program for program in (*(each.program for each in pending), *before, *desired)}
    order = {program.name: number for number, program in enumerate(desired)}

    def rank(name: str) -> tuple[bool, int, int, str]:
        removed = actions[name] is Action.REMOVE
        way = on_the_way_down(known[name]) if removed else on_the_way_up(known[name])
        return not removed, way, order.get(name, 0), name

    told = {each.program.name: each for each in pending}
    loaded = {program.name: program.stop_timeout_seconds for program in before}
    return tuple(
        _activation(actions[name], known[name], told.get(name), loaded.get(name)) for name in sorted(actions, key=rank)
    )


def _activation(
    action: Action, program: InstalledProgram, pending: Activation | None, loaded: int | None
) -> Activation:
    """Return the activation, with what the PENDING one had found out before it was interrupted."""
    timeouts = (loaded, pending.old_stop_timeout_seconds if pending else None)
    longest = max((timeout for timeout in timeouts if timeout is not None), default=None)
    return Activation(action, program, pending.desired if pending else None, longest)


def _ask(
    change: Change, before: InstalledFile | None, installed: Collection[str], asked: dict[str, set[Action]]
) -> None:
    file, content = change.new, change.new_content
    if file is None or content is None or not file.restarts:
        return
    recorded = before is not None and before.digest == digest(content)
    if recorded and change.old_content == content:
        return
    if change.is_comment_only and before is not None and before.digest == digest(change.old_content or b""):
        # Whoever runs from the file on disk runs as the new one has it.
        return
    for name in file.programs:
        if name not in installed and change.old_content in (None, content):
            continue
        if recorded and change.found is None:
            # Gone from the disk: the process manager may have dropped the program, or runs it as it should.
            asked[name] |= {Action.ADD} if file.section else set()
        else:
            asked[name].add(Action.REPLACE if file.section else Action.RESTART)


def _strongest(asked: Collection[Action]) -> Action:
    # Any two of them together need what only REPLACE does: stop, load, start.
    return next(iter(asked)) if len(asked) == 1 else Action.REPLACE
