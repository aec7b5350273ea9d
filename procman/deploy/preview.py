"""`procman diff` and `install --dry-run`: what an install or a rollback would change, by programs and keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from procman.backends import controller_of
from procman.backends.watcher import KEY as WATCHER
from procman.deploy.cut_drainers import Cut
from procman.deploy.key_changes import KeyChange, TableChanges, program_changes, project_changes
from procman.deploy.prepare import Prepared, as_configured, prepare, prepare_generation, taken_slots
from procman.errors import ProcmanError
from procman.install.plan.changes import Change
from procman.install.plan.plan import Plan
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Generation, read_configuration, read_installation
from procman.lookup import Installed
from procman.model import Action, Activation
from procman.project import ChangeKind, Project


@dataclass(frozen=True)
class Effects:
    """What happens to programs, by their names."""

    restarted: tuple[str, ...] = ()
    overlapped: tuple[str, ...] = ()
    """Their successors start first, and no task is waited for."""
    left_stopped: tuple[str, ...] = ()
    """They would be restarted, but were stopped on purpose."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """Tables with the same changes, or tables that are new or gone, and what happens to their programs."""

    kind: ChangeKind
    tables: tuple[str, ...]
    changes: tuple[KeyChange, ...] = ()
    effects: Effects = Effects()
    is_every: bool = False
    """Whether these are all tables of programs, and there are several."""


@dataclass(frozen=True)
class Preview:
    """A plan, and its summary."""

    plan: Plan
    lines: tuple[Line, ...]
    effects: Effects
    unchanged: int
    """The number of programs that stay as they are."""
    own: tuple[Change, ...]
    """The changes to the launcher and its library, which are procman's own and the same in every project."""
    obstacles: tuple[str, ...] = ()
    """Why workers could not overlap now, so that an install would be refused."""
    cut: tuple[Cut, ...] = ()
    """The earlier processes of overlapping workers that are stopped with their programs."""


def preview(project: Project, replaced: Sequence[Path] = ()) -> Preview:
    """Return what an install of `project` would do, without changing anything or taking the lock."""
    with Tree() as tree:
        prepared = prepare(project, tree, replaced, needs_slots=False)
        current = read_installation(tree, project.directories).current
        return _preview(tree, prepared, current)


def preview_generation(installed: Installed, number: int) -> Preview:
    """Return what a rollback to generation `number` would do, without changing anything or taking the lock."""
    with Tree() as tree:
        installation = read_installation(tree, installed.manifest.directories)
        prepared = prepare_generation(tree, installation, number, {})
        return _preview(tree, prepared, installation.current)


def _preview(tree: Tree, prepared: Prepared, current: Generation | None) -> Preview:
    plan = prepared.plan
    library = plan.generation.manifest.directories.library
    changing = [change for change in plan.changes if change.kind is not ChangeKind.KEEP]
    formerly = {program.name for program in current.manifest.programs} if current else set()
    activations = _with_desired_states(plan.activations, current)
    effects = _effects(activations, formerly)
    return Preview(
        plan,
        tuple(_lines(prepared.project, _before(tree, current), current, activations)),
        effects,
        unchanged=len(plan.generation.manifest.programs)
        - len({*effects.restarted, *effects.overlapped, *effects.left_stopped, *effects.added}),
        own=tuple(change for change in changing if library in change.path.parents and not change.edited),
        obstacles=() if prepared.moved_from or current is None else _obstacles(plan, current),
        cut=prepared.cut,
    )


def _obstacles(plan: Plan, current: Generation) -> tuple[str, ...]:
    return tuple(taken_slots(plan, current.manifest, waits=False))


def _before(tree: Tree, current: Generation | None) -> Project | None:
    """Return the installed project; None if there is none, or if its procman.toml cannot be read or used any more."""
    if current is None:
        return None
    try:
        state = current.manifest.directories.state
        return as_configured(current, read_configuration(tree, state, current.number))
    except ProcmanError:
        return None


def _with_desired_states(activations: Sequence[Activation], current: Generation | None) -> list[Activation]:
    """Return `activations` with what the process manager reports; without its answer, programs count as running."""
    programs = [each.program for each in activations if each.action is not Action.ADD and each.desired is None]
    if current is None or not programs:
        return [*activations]
    try:
        desired = controller_of(current.manifest).desired(programs)
    except ProcmanError:
        return [*activations]
    return [replace(each, desired=desired.get(each.program.name, each.desired)) for each in activations]


def _effects(activations: Sequence[Activation], formerly: Collection[str]) -> Effects:
    """Return the effects of `activations`; a program that moves to another process manager is added there."""
    added = [each.program.name for each in activations if each.action is Action.ADD]
    again = [each for each in activations if each.action is not Action.REMOVE and each.program.name in formerly]
    return Effects(
        restarted=tuple(each.program.name for each in again if each.desired is not False and not _overlaps(each)),
        overlapped=tuple(each.program.name for each in again if each.desired is not False and _overlaps(each)),
        left_stopped=tuple(each.program.name for each in again if each.desired is False),
        added=tuple(name for name in added if name not in formerly),
        removed=tuple(each.program.name for each in activations if each.action is Action.REMOVE),
    )


def _overlaps(activation: Activation) -> bool:
    return activation.action is Action.OVERLAP


def _lines(
    after: Project, before: Project | None, current: Generation | None, activations: Sequence[Activation]
) -> list[Line]:
    formerly = current.manifest.programs if current else ()
    effects = _by_table(activations, {program.name for program in formerly})
    now = list(dict.fromkeys(program.key for program in after.programs))
    known = {program.key for program in formerly}
    changed = {each.table: each.changes for each in program_changes(before, after)} if before else {}
    of_project = project_changes(before, after) if before else []
    # A change to [health] shows why the watcher changes.
    watcher = [WATCHER] if WATCHER in effects and WATCHER not in {each.table for each in of_project} else []
    kept = [table for table in (*now, *watcher) if table in known and (table in changed or table in effects)]
    gone = [table for table in effects if table in known and table not in (*now, WATCHER)]
    return [
        *(Line(ChangeKind.UPDATE, (each.table,), each.changes, _of_watcher(each, effects)) for each in of_project),
        *_merged(kept, changed, effects, now),
        *_alone(ChangeKind.CREATE, [table for table in (*now, *watcher) if table not in known], effects),
        *_alone(ChangeKind.REMOVE, gone, effects),
    ]


def _alone(kind: ChangeKind, tables: Sequence[str], effects: Mapping[str, Effects]) -> list[Line]:
    return [Line(kind, (table,), effects=effects.get(table, Effects())) for table in tables]


def _by_table(activations: Sequence[Activation], formerly: Collection[str]) -> dict[str, Effects]:
    found: dict[str, list[Activation]] = {}
    for activation in activations:
        found.setdefault(activation.program.key, []).append(activation)
    return {table: _effects(each, formerly) for table, each in found.items()}


def _of_watcher(each: TableChanges, effects: Mapping[str, Effects]) -> Effects:
    return effects.get(WATCHER, Effects()) if each.table == WATCHER else Effects()


def _merged(
    kept: Sequence[str],
    changed: Mapping[str, tuple[KeyChange, ...]],
    effects: Mapping[str, Effects],
    now: Sequence[str],
) -> list[Line]:
    """Return one line for all tables with the same changes."""
    alike: dict[tuple[KeyChange, ...], list[str]] = {}
    for table in kept:
        alike.setdefault(changed.get(table, ()), []).append(table)
    lines = []
    for changes, tables in alike.items():
        found = [effects.get(table, Effects()) for table in tables]
        together = Effects(
            restarted=tuple(name for each in found for name in each.restarted),
            overlapped=tuple(name for each in found for name in each.overlapped),
            left_stopped=tuple(name for each in found for name in each.left_stopped),
            added=tuple(name for each in found for name in each.added),
            removed=tuple(name for each in found for name in each.removed),
        )
        is_every = len(tables) > 1 and len(tables) == len(now)
        lines.append(Line(ChangeKind.UPDATE, tuple(tables), changes, together, is_every))
    return lines
