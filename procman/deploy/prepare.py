"""Turns procman.toml, or an earlier generation, into a verified plan, without changing anything."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from procman.backends import backend_named, controller_of, other_commands, process_manager
from procman.backends.watcher import watcher_name
from procman.config.load import load
from procman.deploy.adoption_plan import NOTHING_CHANGED, AdoptionPlan, plan_adoptions
from procman.deploy.cut_drainers import Cut, cut_by_plan
from procman.deploy.installed_programs import installed_program, installed_watcher
from procman.deploy.replaced import with_replaced
from procman.errors import ProcmanError
from procman.host.process import written_by
from procman.host.process_tree import children_finder, tree_of
from procman.install.plan.describe import describe, rendering_of
from procman.install.plan.plan import Plan, make_plan
from procman.install.plan.removal import adopted_later, restorable
from procman.install.safe_fs.file_info import Found
from procman.install.safe_fs.tree import Tree
from procman.install.state import generations
from procman.install.state.generations import Generation, Installation, origin, read_installation
from procman.install.state.manifest import Manifest
from procman.model import Action, BackendName, InstalledProgram, ProgramState
from procman.monitoring.watcher_command import watcher_problems
from procman.project import Project, Rendering
from procman.templating import Templates
from procman.version import VERSION

NOTHING = Rendering((), ())

NONE: Mapping[Any, Any] = MappingProxyType({})

DesiredStates = Mapping[str, bool]
"""By program, whether it should run, according to the last start or stop by anyone (R11)."""


@dataclass(frozen=True)
class Prepared:
    """A verified plan, with what else is needed to apply it."""

    plan: Plan
    project: Project
    configuration: bytes
    moved_from: Installation | None = None
    """The installation under another process manager that has to be stopped first; None if there is none."""
    desired_states: DesiredStates = field(default_factory=dict)
    """The desired states known so far; for a change of backend, those of every program."""
    restored: tuple[Path, ...] = ()
    """Files that were adopted after the generation to roll back to, and that the plan restores."""
    cut: tuple[Cut, ...] = ()
    """The earlier processes of overlapping workers that are stopped with their programs."""


def prepare(
    project: Project,
    tree: Tree,
    replaced: Sequence[Path] = (),
    *,
    left_out: Sequence[str] = (),
    needs_slots: bool = True,
) -> Prepared:
    """Return what an install of `project` would do.

    `replaced` are unmanaged files whose programs of the same names are adopted, too; `left_out` names programs that are
    in procman.toml but not in `project`. Raises one ProcmanError with all problems: those of the plan, and those that
    the process manager that reads the files would have with them (R6); also if a worker `needs_slots` for its overlap,
    and all are taken.
    """
    if watcher_name(project) in left_out:
        project = replace(project, health=replace(project.health, procman=None))
    configuration = _content(project)
    rendering = backend_named(project.backend).render(project)
    installation = read_installation(tree, project.directories)
    project, left = with_replaced(project, rendering, installation, replaced)
    desired = describe(
        project,
        rendering,
        [*(installed_program(project, program) for program in project.programs), *installed_watcher(project)],
        configuration,
        procman=VERSION,
        templates_digest=Templates(project.templates).digest(),
        left_out=tuple(left_out),
    )
    if project.configuration_text is not None and installation.current:
        # Another place of the same content is no change.
        desired = replace(desired, configuration_file=installation.current.manifest.configuration_file)
    adoption = plan_adoptions(tree, installation, project)
    return _prepared(
        tree,
        installation,
        project,
        rendering,
        desired,
        configuration,
        left=left,
        adoption=adoption,
        needs_slots=needs_slots,
    )


def _content(project: Project) -> bytes:
    """Return the content of procman.toml."""
    text = project.configuration_text
    return project.configuration_file.read_bytes() if text is None else text.encode()


def prepare_generation(
    tree: Tree, installation: Installation, number: int, desired_states: DesiredStates, *, is_ordered: bool = False
) -> Prepared:
    """Return what a rollback to generation `number` would do, planned and verified like an install.

    `desired_states` override what the process manager reports. Raises ProcmanError if the rollback is not possible, or
    needs a slot for an overlap that is not free and `is_ordered` by a user: it undoes no install that failed just now.
    """
    reference = installation.current or installation.latest
    if reference is None or number not in installation.numbers:
        kept = ", ".join(map(str, installation.numbers)) or "none"
        raise ProcmanError(f"there is no generation {number}; available: {kept}", hint="procman history")
    state = reference.manifest.directories.state
    generation = generations.read_generation(tree, state, number)
    configuration = generations.read_configuration(tree, state, number)
    project = as_configured(generation, configuration)
    rendering = rendering_of(tree, state, generation)
    is_in_place = installation.current is not None and installation.current.number == number
    back = generation.manifest.brought_back if is_in_place else origin(generation)
    desired = replace(generation.manifest, brought_back=back)
    restored = restorable(tree, state, adopted_later(installation, desired))
    return _prepared(
        tree,
        installation,
        project,
        rendering,
        desired,
        configuration,
        desired_states=desired_states,
        restored=restored,
        adoption=plan_adoptions(tree, installation, project, desired),
        needs_slots=is_ordered,
    )


def as_configured(generation: Generation, configuration: bytes) -> Project:
    """Return the project of `generation`, whose procman.toml is `configuration`; ProcmanError if it is invalid now."""
    path = generation.manifest.configuration_file
    try:
        project = load(path, os.environ, configuration.decode("utf-8", "replace"))
    except ProcmanError as error:
        raise ProcmanError(
            f"cannot roll back to generation {generation.number}: this procman does not accept its procman.toml:\n"
            f"{error.message}",
            hint="Choose another generation: procman history",
        ) from None
    names = {program.name for program in generation.manifest.programs}
    return replace(project, programs=tuple(program for program in project.programs if program.name in names))


def _prepared(
    tree: Tree,
    installation: Installation,
    project: Project,
    rendering: Rendering,
    desired: Manifest,
    configuration: bytes,
    *,
    adoption: AdoptionPlan,
    left: Mapping[Path, str | None] = NONE,
    desired_states: DesiredStates = NONE,
    restored: Mapping[Path, Found] = NONE,
    needs_slots: bool = False,
) -> Prepared:
    current = installation.current.manifest if installation.current else None
    moves = current is not None and process_manager(current) != process_manager(desired)
    problems = [*watcher_problems(project), *other_commands(desired, installation.others)]
    if current and moves:
        controller = controller_of(current)
        problems += unwritable(project, controller.states(current.programs))
        desired_states = controller.desired(current.programs) | dict(desired_states)
    left, desired_states = {**left, **adoption.left}, {**adoption.desired_states, **desired_states}
    desired = replace(desired, adopted=adoption.adopted)
    desired = _with_left_stopped(desired, current, desired_states, moves=moves)
    plan = make_plan(rendering, desired, installation, tree, adopt=left, restore=restored)
    left = {**left, **{path: _text(copy) for path, copy in restored.items()}}
    plan = with_shared_files(plan, tree, installation, desired, rendering, left)
    found = backend_named(project.backend).verifier.verify(project, rendering, plan.removed, left)
    if needs_slots and not moves:
        problems += taken_slots(plan, current)
    if problems := [*plan.problems, *found, *problems]:
        raise ProcmanError("\n".join(problems), hint=NOTHING_CHANGED)
    return Prepared(
        _with_desired_states(_with_adoptions(plan, adoption), desired_states, moves=moves),
        project,
        configuration,
        moved_from=installation if moves else None,
        desired_states=desired_states,
        restored=tuple(restored),
        cut=tuple(cut_by_plan(plan, current, stops_all=moves)),
    )


def taken_slots(plan: Plan, current: Manifest | None, *, waits: bool = True) -> list[str]:
    """Return a problem for each program that would overlap, and whose slots are all taken; if it `waits`, not by
    processes that end within seconds."""
    programs = [each.program for each in plan.activations if each.action is Action.OVERLAP]
    if current is None or not programs:
        return []
    from procman.deploy.overlap import without_slot

    return without_slot(current, controller_of(current), programs, waits=waits)


def with_shared_files(
    plan: Plan,
    tree: Tree,
    installation: Installation,
    desired: Manifest | None = None,
    rendering: Rendering = NOTHING,
    adopted: Mapping[Path, str | None] | None = None,
) -> Plan:
    """Return `plan` with the changes to files that projects share; without `desired`, the project is removed."""
    for name in BackendName:
        if shared := backend_named(name).shared_files:
            plan = shared.with_shared_files(plan, tree, installation, desired, rendering, adopted)
    return plan


def _text(copy: Found) -> str:
    return (copy.content or b"").decode("utf-8", "surrogateescape")


def _with_adoptions(plan: Plan, adoption: AdoptionPlan) -> Plan:
    nothing_to_do = plan.nothing_to_do and not (adoption.adoptions or adoption.returned)
    return replace(plan, adoptions=adoption.adoptions, returned=adoption.returned, nothing_to_do=nothing_to_do)


def _with_desired_states(plan: Plan, desired_states: DesiredStates, *, moves: bool) -> Plan:
    activations = [
        replace(each, desired=desired_states.get(each.program.name, each.desired)) for each in plan.activations
    ]
    if moves:
        # By then the old process manager has none of them; all are new to the other one.
        activations = [replace(each, action=Action.ADD) for each in activations if each.action is not Action.REMOVE]
    return replace(plan, activations=tuple(activations))


def _with_left_stopped(
    desired: Manifest, current: Manifest | None, desired_states: DesiredStates, *, moves: bool
) -> Manifest:
    """Mark the programs that the process manager must not start by itself, because it cannot know they were stopped.

    The mark stays until the project changes backends again; a program started since then is simply running.
    """
    before = {program.name: program.left_stopped for program in current.programs} if current and not moves else {}

    def is_left_stopped(program: InstalledProgram) -> bool:
        return before.get(program.name, False) or desired_states.get(program.name, True) is False

    programs = tuple(replace(each, left_stopped=is_left_stopped(each)) for each in desired.programs)
    return replace(desired, programs=programs)


def unwritable(project: Project, states: Sequence[ProgramState]) -> list[str]:
    """Return a problem for each file that a program of `project` writes to now and could not write to in its sandbox.

    `states` come from the process manager that the project is leaving.
    """
    sandbox = backend_named(project.backend).sandbox
    if sandbox is None:
        return []
    pids = {state.name: state.pid for state in states}
    problems = []
    for program in project.programs:
        pid = pids.get(program.name)
        written = written_by(tree_of(pid, children_finder())) if pid else ()
        problems += [
            f"{project.configuration_file}: {program.name} writes to {path}, which its sandbox would forbid: "
            f'add "{path.parent}" to writable_paths'
            for path in sandbox.read_only(project, program, written)
        ]
    return problems
