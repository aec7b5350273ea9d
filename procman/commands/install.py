"""`procman install`, `diff` and `uninstall`: from procman.toml to running programs, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from procman import backends
from procman.backends.base import Controller, Progress
from procman.commands.control import controller_of
from procman.commands.healthy import Unhealthy, wait_until_healthy
from procman.errors import ProcmanError
from procman.install import generations
from procman.install.apply import apply
from procman.install.lock import hold_lock
from procman.install.manifest import Manifest, describe
from procman.install.paths import Tree
from procman.install.plan import Plan, make_plan
from procman.model import Activation, InstalledProgram, Program, Project, Worker
from procman.render import Templates
from procman.version import VERSION

LOCK_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Prepared:
    """A plan that may be applied, with what applying it needs besides."""

    plan: Plan
    configuration: bytes


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
    problems = [*plan.problems, *found]
    if problems:
        raise ProcmanError("\n".join(problems), hint="Nothing was changed.")
    return Prepared(plan, configuration)


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
        apply(tree, plan, prepared.configuration)
        activate(tree, manifest, controller, progress, told)
        unhealthy = (
            wait_until_healthy(controller, manifest.programs, wait_seconds, progress)
            if wait_seconds is not None
            else []
        )
    return Report(plan, tuple(unhealthy))


def activate(tree: Tree, manifest: Manifest, controller: Controller, progress: Progress, told: Told) -> None:
    """Carry out what is pending, one by one, striking off each when it is done (R2)."""
    state = manifest.directories.state
    for activation in _with_wishes(tree, state, controller):
        told(activation.program, controller.activate(activation, progress))
        generations.strike_off(tree, state, activation)


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
    )
