"""`procman install` and `diff`: installs and starts what procman.toml describes, and rolls it back if it fails (R4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from procman.backends import controller_of
from procman.deploy.adopt import bring_back, load_restored
from procman.deploy.backend_switch import come_back, leave
from procman.deploy.failure import Failure
from procman.deploy.health_gate import new_problems, problems_before
from procman.deploy.prepare import Prepared, prepare, prepare_generation
from procman.deploy.rollout import Outcome, RolloutOptions, all_done, put_in_place, report_failures
from procman.deploy.uninstall import remove_all
from procman.deploy.untaken_messages import warn_of_untaken_messages
from procman.errors import ProcmanError
from procman.install.plan.apply import apply
from procman.install.plan.plan import Plan
from procman.install.plan.removal import Remains
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Generation, read_installation, read_pending
from procman.install.state.lock import hold_lock
from procman.install.state.manifest import Manifest
from procman.model import Action, ProgramState
from procman.project import Project


@dataclass(frozen=True)
class BroughtBack:
    """What was done about an install whose programs did not become healthy."""

    generation: Generation | None = None
    """The generation installed now; None if nothing is."""
    before: int | None = None
    """The generation to roll back to; None if there was none."""
    removed: tuple[str, ...] = ()
    """Programs that were stopped and removed because there was no previous generation."""
    remains: Remains | None = None
    error: str = ""
    """Why the rollback failed; procman then leaves everything as it is."""
    failures: tuple[Failure, ...] = ()
    """Programs that are unhealthy after the rollback, too."""


@dataclass(frozen=True)
class Report:
    """What an install or a rollback did."""

    plan: Plan
    failures: tuple[Failure, ...] = ()
    """Programs that did not become healthy in time; always empty without `--wait`."""
    brought_back: BroughtBack | None = None
    """None if nothing failed, or if what failed was left in place."""
    states: tuple[ProgramState, ...] = field(default=())
    """The states of the programs afterwards; empty if nothing failed."""


def install(
    project: Project,
    *,
    replaced: Sequence[Path] = (),
    keep_failed: bool = False,
    before: Callable[[Project], None] | None = None,
    options: RolloutOptions,
) -> Report:
    """Install the files of `project` and activate the programs that changed; also completes an interrupted install.

    `before` is called if there is something to do, with everything that the project adopts in its keys `adopts`, and
    raises ProcmanError to prevent the install. With `options.wait_seconds`, each program must become healthy within
    that time from the start of its process, and none may have a new CRITICAL result of `procman health` afterwards. The
    first one that fails ends the install: procman rolls back to the previous generation, or, if there is none, removes
    the programs that are not healthy (R4). `keep_failed` leaves everything as it is instead.
    """
    with hold_lock(project.directories.shared_state, options.lock_seconds, options.reporter.progress), Tree() as tree:
        prepared = prepare(project, tree, replaced)
        for line in reversal(tree, project):
            options.reporter.announce(line)
        if before and not prepared.plan.nothing_to_do:
            before(prepared.project)
        is_gated = options.wait_seconds is not None and not prepared.plan.nothing_to_do
        known = problems_before(tree, project) if is_gated else frozenset()
        outcome = carry_out(tree, prepared, options)
        if is_gated and not outcome.failures:
            outcome.failures += new_problems(prepared.plan.generation, outcome.begun, known, options)
            report_failures(outcome, options)
        if is_gated and not outcome.failures:
            warn_of_untaken_messages(prepared.plan.generation.manifest, outcome.begun, options)
        if options.wait_seconds is None:
            all_done(outcome)
        if not outcome.failures:
            return Report(prepared.plan)
        brought_back = None
        if outcome.is_this_plans_doing and not keep_failed:
            brought_back = _bring_back(tree, project, prepared, outcome, options)
        return Report(prepared.plan, tuple(outcome.failures), brought_back, _states(tree, project))


def reversal(tree: Tree, project: Project) -> list[str]:
    """Return the lines for an administrator if an install would reverse an interrupted uninstall; mostly none."""
    pending = read_pending(tree, project.directories.state)
    if pending is None or not pending.uninstall:
        return []
    return [
        f"an uninstall of {project.name} was interrupted; this install brings back its files and programs",
        "  to complete the uninstall instead: procman uninstall",
    ]


def carry_out(tree: Tree, prepared: Prepared, options: RolloutOptions) -> Outcome:
    """Carry out the plan in `prepared`; if the project changes backends, stop its programs under the old one first."""
    for cut in prepared.cut:
        options.reporter.announce(cut.text)
    if prepared.moved_from is None:
        for path in prepared.restored:
            options.reporter.announce(f"{path} is restored to what it was before its adoption")
        outcome = put_in_place(tree, prepared, options)
        gone = [each.program for each in prepared.plan.activations if each.action is Action.REMOVE]
        returned = {each.program for each in prepared.plan.returned}
        gone = [program for program in gone if program.name not in returned]
        load_restored(tree, prepared.plan.generation.manifest, prepared.restored, gone, options)
        return outcome
    leave(prepared.moved_from, prepared.desired_states, options)
    try:
        return put_in_place(tree, prepared, options)
    except ProcmanError as error:
        raise _undone(tree, prepared, options, error) from error


def _undone(tree: Tree, prepared: Prepared, options: RolloutOptions, error: ProcmanError) -> ProcmanError:
    """Undo a change of backend whose files could not be installed, and return the error to raise."""
    assert prepared.moved_from
    assert prepared.moved_from.current
    current = prepared.moved_from.current
    options.reporter.announce(f"{error.message}; rolling back to generation {current.number}")
    try:
        installation = read_installation(tree, current.manifest.directories)
        back = prepare_generation(tree, installation, current.number, prepared.desired_states)
        apply(tree, replace(back.plan, activations=()), back.configuration, _because(options, error.message).made)
        bring_back(tree, current.manifest, back.plan.returned, options)
        come_back(current.manifest, current.manifest.programs, prepared.desired_states, options)
    except ProcmanError as another:
        hint = f"{error.hint}\nRolling back failed too: {another.message}\n{another.hint}"
        return ProcmanError(error.message, hint=f"{hint.strip()}\nWhen that is fixed: procman install")
    return ProcmanError(error.message, hint=f"{error.hint}\nThe programs run as before.".lstrip())


def _bring_back(
    tree: Tree, project: Project, prepared: Prepared, outcome: Outcome, options: RolloutOptions
) -> BroughtBack:
    """Roll back, or remove, an install that failed (R4); a ProcmanError becomes part of the report."""
    failed = ", ".join(failure.program.name for failure in outcome.failures)
    before = prepared.plan.before
    options = _because(options, f"{failed} failed in generation {prepared.plan.generation.number}")
    try:
        if before is None:
            options.reporter.announce(
                f"{failed} failed and there is no previous generation; removing the unhealthy programs"
            )
            return _without_failed(tree, project, prepared, outcome, options)
        options.reporter.announce(f"{failed} failed; rolling back to generation {before}")
        return _generation_before(tree, project, before, prepared, outcome, options)
    except ProcmanError as error:
        return BroughtBack(before=before, error=f"{error.message}\n{error.hint}".strip())


def _because(options: RolloutOptions, message: str) -> RolloutOptions:
    """Return `options` for what procman does by itself for the reason `message`."""
    return replace(options, made=replace(options.made, message=message), verb="rolled back")


def _generation_before(
    tree: Tree, project: Project, before: int, prepared: Prepared, outcome: Outcome, options: RolloutOptions
) -> BroughtBack:
    installation = read_installation(tree, project.directories)
    back = prepare_generation(tree, installation, before, {**prepared.desired_states, **outcome.desired_states})
    if back.moved_from is None:
        # Programs that were not activated still run as in generation `before`: leave them alone.
        every = back.plan.activations
        concerned = tuple(each for each in every if each.program.name in outcome.begun or each.action is Action.REMOVE)
        back = replace(back, plan=replace(back.plan, activations=concerned))
    again = carry_out(tree, back, options)
    return BroughtBack(back.plan.generation, before, failures=tuple(again.failures))


def _without_failed(
    tree: Tree, project: Project, prepared: Prepared, outcome: Outcome, options: RolloutOptions
) -> BroughtBack:
    """Keep the programs that became healthy; but none if files were adopted, because those are then restored."""
    takes_over = bool(prepared.plan.generation.manifest.adopted) or any(each.foreign for each in prepared.plan.changes)
    healthy = set() if takes_over else outcome.healthy - {failure.program.name for failure in outcome.failures}
    kept = tuple(program for program in project.programs if program.name in healthy)
    every = prepared.plan.generation.manifest.programs
    removed = tuple(program.name for program in every if program.name not in healthy)
    if not kept:
        installation = read_installation(tree, project.directories)
        remains = remove_all(tree, installation, options, purge=False)
        return BroughtBack(removed=removed, remains=remains)
    rest = prepare(replace(project, programs=kept), tree, left_out=removed)
    # The programs that are kept already run as they should.
    others = tuple(each for each in rest.plan.activations if each.program.name not in healthy)
    again = put_in_place(tree, replace(rest, plan=replace(rest.plan, activations=others)), options)
    return BroughtBack(rest.plan.generation, removed=removed, failures=tuple(again.failures))


def _states(tree: Tree, project: Project) -> tuple[ProgramState, ...]:
    current = read_installation(tree, project.directories).current
    return states_of(current.manifest) if current else ()


def states_of(manifest: Manifest) -> tuple[ProgramState, ...]:
    """Return the current states of the programs of `manifest`."""
    return tuple(controller_of(manifest).states(manifest.programs))
