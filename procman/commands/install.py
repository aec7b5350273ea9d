"""`procman install`, `diff` and `uninstall`: from procman.toml to running programs, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from procman import backends
from procman.backends.base import Controller, Progress
from procman.commands.controller import controller_of
from procman.commands.healthy import Unhealthy, wait_until_healthy
from procman.commands.moving import unwritable
from procman.errors import ProcmanError
from procman.install import generations
from procman.install.apply import apply
from procman.install.lock import hold_lock
from procman.install.manifest import Manifest, describe
from procman.install.paths import Tree
from procman.install.plan import Plan, make_plan
from procman.model import Action, Activation, InstalledProgram, Kind, Program, Project, Worker
from procman.render import Templates
from procman.version import VERSION

LOCK_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Prepared:
    """A plan that may be applied, with what applying it needs besides."""

    plan: Plan
    configuration: bytes
    moved_from: generations.Installation | None
    """What is installed under another process manager, whose programs are to end first; None where nothing is."""


@dataclass(frozen=True)
class Report:
    """What an install did."""

    plan: Plan
    unhealthy: tuple[Unhealthy, ...]
    """Programs that did not become healthy in time; empty also when nobody asked to wait."""


Told = Callable[[InstalledProgram, str], None]
"""Told what was done about a program, as soon as it is done."""


def prepare(project: Project, tree: Tree, replaced: Sequence[Path] = ()) -> Prepared:
    """Return what an install of PROJECT would do; touches nothing.

    REPLACED are files of others whose sections of the same names are taken over. Every problem of the plan, and
    every one that the files' own reader has with them (R6), is told in one ProcmanError.
    """
    configuration = project.configuration_file.read_bytes()
    files = backends.files(project.backend)
    rendering = files.render(project)
    wanted = describe(
        project,
        rendering,
        [_installed_program(project, program) for program in project.programs],
        procman=VERSION,
        configuration=configuration,
        templates_digest=Templates(project.templates).digest(),
    )
    installation = generations.read_installation(tree, project.directories)
    reader = backends.verify(project.backend)
    names = [program.name for program in project.programs]
    left = {file.absolute(): reader.remaining(file.absolute(), names) for file in replaced}
    plan = make_plan(rendering, wanted, installation, tree, take_over=left)
    found = reader.verify(project, rendering, plan.removed, left)
    current = installation.current.manifest if installation.current else None
    moves = current is not None and (current.backend, current.supervisor) != (wanted.backend, wanted.supervisor)
    if current and moves:
        found += unwritable(project, controller_of(current).states(current.programs))
    problems = [*plan.problems, *found]
    if problems:
        raise ProcmanError("\n".join(problems), hint="Nothing was changed.")
    return Prepared(plan, configuration, installation if moves else None)


def preview(project: Project, replaced: Sequence[Path] = ()) -> Plan:
    """Return what an install of PROJECT would do; nothing is touched, and no lock is taken."""
    with Tree() as tree:
        return prepare(project, tree, replaced).plan


def install(
    project: Project,
    *,
    replaced: Sequence[Path],
    wait_seconds: float | None,
    progress: Progress,
    told: Told,
) -> Report:
    """Put the files of PROJECT in place and have the process manager follow; completes what an earlier run left undone.

    With WAIT_SECONDS, each program must become healthy within that time from the start of its process.
    """
    with hold_lock(project.directories.shared_state, LOCK_PATIENCE_SECONDS, progress), Tree() as tree:
        prepared = prepare(project, tree, replaced)
        plan, manifest = prepared.plan, prepared.plan.generation.manifest
        controller = controller_of(manifest)
        if prepared.moved_from:
            plan = _leave(prepared.moved_from, plan, progress, told)
        apply(tree, plan, prepared.configuration)
        stopped = activate(tree, manifest, controller, progress, told)
        running = [program for program in manifest.programs if program.name not in stopped]
        unhealthy = wait_until_healthy(controller, running, wait_seconds, progress) if wait_seconds is not None else []
    return Report(plan, tuple(unhealthy))


def _leave(installation: generations.Installation, plan: Plan, progress: Progress, told: Told) -> Plan:
    """End all programs under the process manager they are to leave, warm, beat first; the plan then knows the wishes.

    Only when none of them is left do the files change: there is never a moment of two beats.
    """
    assert installation.current
    old = installation.current.manifest
    controller = controller_of(old)
    wishes = controller.wanted(old.programs)
    for program in sorted(old.programs, key=lambda program: program.kind is not Kind.BEAT):
        told(program, controller.activate(Activation(Action.REMOVE, program), progress))
    if not any(other.supervisor == old.supervisor for other in installation.others):
        controller.close_down(progress)
    # What the old process manager had is gone; everything is new to the other one.
    activations = tuple(
        replace(each, action=Action.ADD, wanted=wishes.get(each.program.name, each.wanted))
        for each in plan.activations
        if each.action is not Action.REMOVE
    )
    return replace(plan, activations=activations)


def activate(tree: Tree, manifest: Manifest, controller: Controller, progress: Progress, told: Told) -> frozenset[str]:
    """Carry out what is pending, one by one, striking off each when it is done (R2); return what was left stopped."""
    state = manifest.directories.state
    activations = _with_wishes(tree, state, controller)
    for activation in activations:
        try:
            told(activation.program, controller.activate(activation, progress))
        except ProcmanError as error:
            hint = f"{error.hint}\nThe files are as they should be; the same command again does the rest."
            raise ProcmanError(f"{activation.program.name}: {error.message}", hint=hint.lstrip()) from None
        generations.strike_off(tree, state, activation)
    return frozenset(each.program.name for each in activations if each.wanted is False)


def _with_wishes(tree: Tree, state: Path, controller: Controller) -> tuple[Activation, ...]:
    """Record whether each program was to run before procman's own stop can be taken for a person's (R11)."""
    pending = generations.read_pending(tree, state)
    if pending is None:
        return ()
    unasked = [each.program for each in pending.activations if each.wanted is None]
    if unasked:
        wanted = controller.wanted(unasked)
        asked = tuple(
            each if each.wanted is not None else replace(each, wanted=wanted[each.program.name])
            for each in pending.activations
        )
        pending = replace(pending, activations=asked)
        generations.write_pending(tree, state, pending)
    return pending.activations


def _installed_program(project: Project, program: Program) -> InstalledProgram:
    log_file = backends.files(project.backend).log_path(project, program.name)
    options = program.options
    return InstalledProgram(
        name=program.name,
        key=program.key,
        kind=program.kind,
        autostart=program.autostart,
        stop_timeout_seconds=program.stop_timeout_seconds,
        start_seconds=program.start_seconds,
        launcher=program.launcher,
        user=project.user,
        log_file=str(log_file) if log_file else None,
        pool=options.pool if isinstance(options, Worker) else None,
        concurrency=options.concurrency if isinstance(options, Worker) else None,
        heal=program.heal,
        stall_seconds=program.stall_seconds,
        memory_restart_mib=program.memory_restart_mib,
    )
