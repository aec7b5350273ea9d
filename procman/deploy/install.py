"""`procman install` and `diff`: from procman.toml to running programs, and back if they do not become healthy (R4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from procman.backends import controller_of
from procman.deploy.backend_switch import come_back, leave
from procman.deploy.prepare import Prepared, prepare, prepare_generation
from procman.deploy.rollout import Failure, Outcome, RolloutOptions, all_done, put_in_place
from procman.deploy.uninstall import remove_all
from procman.errors import ProcmanError
from procman.install.plan.apply import apply
from procman.install.plan.plan import Plan
from procman.install.plan.removal import Remains
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Generation, read_installation
from procman.install.state.lock import hold_lock
from procman.install.state.manifest import Manifest
from procman.lookup import Installed
from procman.model import Action, Activation, InstalledProgram, ProgramState
from procman.project import Project


@dataclass(frozen=True)
class BroughtBack:
    """What was done about an install that did not become healthy."""

    generation: Generation | None = None
    """What is in place now; None where nothing is."""
    before: int | None = None
    """The generation whose content that is; None where there was none."""
    removed: tuple[str, ...] = ()
    """Programs that were stopped and removed, for there was no generation before."""
    remains: Remains | None = None
    error: str = ""
    """Why it could not be done; nothing more is tried then."""
    failures: tuple[Failure, ...] = ()
    """Programs that are not healthy with the generation before either."""


@dataclass(frozen=True)
class Report:
    """What an install or a roll-back did."""

    plan: Plan
    failures: tuple[Failure, ...] = ()
    """Programs that did not become healthy in time; empty also when nobody asked to wait."""
    brought_back: BroughtBack | None = None
    """None where nothing failed, or nothing was to be done about it."""
    states: tuple[ProgramState, ...] = field(default=())
    """What runs in the end, where something failed."""


def preview(project: Project, replaced: Sequence[Path] = ()) -> Plan:
    """Return what an install of PROJECT would do; nothing is touched, and no lock is taken."""
    with Tree() as tree:
        return prepare(project, tree, replaced).plan


def preview_generation(installed: Installed, number: int) -> Plan:
    """Return what bringing back generation NUMBER would do; nothing is touched, and no lock is taken."""
    with Tree() as tree:
        installation = read_installation(tree, installed.manifest.directories)
        return prepare_generation(tree, installation, number, {}).plan


def install(
    project: Project,
    *,
    replaced: Sequence[Path] = (),
    keep_failed: bool = False,
    before: Callable[[], None] | None = None,
    options: RolloutOptions,
) -> Report:
    """Put the files of PROJECT in place and have the process manager follow; completes what an earlier run left undone.

    BEFORE is called once it is known that something is to be done, and raises what speaks against it.
    With `options.wait_seconds`, each program must become healthy within that time from the start of its process. The
    first that does not is the last: the generation before is brought back, or that program removed if there is none
    (R4).
    KEEP_FAILED leaves everything as it is then.
    """
    with hold_lock(project.directories.shared_state, options.lock_seconds, options.reporter.progress), Tree() as tree:
        prepared = prepare(project, tree, replaced)
        if before and not prepared.plan.nothing_to_do:
            before()
        outcome = carry_out(tree, prepared, options)
        if options.wait_seconds is None:
            all_done(outcome)
        if not outcome.failures:
            return Report(prepared.plan)
        brought_back = None
        if outcome.is_this_plans_doing and not keep_failed:
            brought_back = _bring_back(tree, project, prepared, outcome, options)
        return Report(prepared.plan, tuple(outcome.failures), brought_back, _states(tree, project))


def carry_out(tree: Tree, prepared: Prepared, options: RolloutOptions) -> Outcome:
    """Carry out what is PREPARED, from the process manager that the project leaves, if it does."""
    if prepared.moved_from is None:
        outcome = put_in_place(tree, prepared, options)
        gone = [each.program for each in prepared.plan.activations if each.action is Action.REMOVE]
        load_restored(tree, prepared.plan.generation.manifest, prepared.restored, gone, options)
        return outcome
    leave(prepared.moved_from, prepared.desired_states, options)
    try:
        return put_in_place(tree, prepared, options)
    except ProcmanError as error:
        raise _undone(tree, prepared, options, error) from error


def _undone(tree: Tree, prepared: Prepared, options: RolloutOptions, error: ProcmanError) -> ProcmanError:
    """Undo a move whose files could not be put in place, and return what to say of it."""
    assert prepared.moved_from
    assert prepared.moved_from.current
    current = prepared.moved_from.current
    options.reporter.announce(f"{error.message}; generation {current.number} is brought back")
    try:
        installation = read_installation(tree, current.manifest.directories)
        back = prepare_generation(tree, installation, current.number, prepared.desired_states)
        apply(tree, replace(back.plan, activations=()), back.configuration)
        come_back(current.manifest, current.manifest.programs, prepared.desired_states, options)
    except ProcmanError as another:
        hint = f"{error.hint}\nThe way back failed too: {another.message}\n{another.hint}"
        return ProcmanError(error.message, hint=f"{hint.strip()}\nWhen that is mended: procman install")
    return ProcmanError(error.message, hint=f"{error.hint}\nThe programs run as they did before.".lstrip())


def _bring_back(
    tree: Tree, project: Project, prepared: Prepared, outcome: Outcome, options: RolloutOptions
) -> BroughtBack:
    """Do what R4 says of an install that failed; never raises what can be told."""
    failed = ", ".join(failure.program.name for failure in outcome.failures)
    before = prepared.plan.before
    try:
        if before is None:
            options.reporter.announce(
                f"{failed}: failed; there is no generation before, so that what failed is removed"
            )
            return _without_failed(tree, project, prepared, outcome, options)
        options.reporter.announce(f"{failed}: failed; generation {before} is brought back")
        return _generation_before(tree, project, before, prepared, outcome, options)
    except ProcmanError as error:
        return BroughtBack(before=before, error=f"{error.message}\n{error.hint}".strip())


def _generation_before(
    tree: Tree, project: Project, before: int, prepared: Prepared, outcome: Outcome, options: RolloutOptions
) -> BroughtBack:
    installation = read_installation(tree, project.directories)
    back = prepare_generation(tree, installation, before, {**prepared.desired_states, **outcome.desired_states})
    if back.moved_from is None:
        # What was not told anything runs as generation BEFORE has it: others stay untouched.
        every = back.plan.activations
        concerned = tuple(each for each in every if each.program.name in outcome.begun or each.action is Action.REMOVE)
        back = replace(back, plan=replace(back.plan, activations=concerned))
    again = carry_out(tree, back, options)
    return BroughtBack(back.plan.generation, before, failures=tuple(again.failures))


def _without_failed(
    tree: Tree, project: Project, prepared: Prepared, outcome: Outcome, options: RolloutOptions
) -> BroughtBack:
    """Leave what became healthy; but nothing if files of others were taken over: those come back as they were."""
    takes_over = any(change.foreign for change in prepared.plan.changes)
    healthy = set() if takes_over else outcome.healthy - {failure.program.name for failure in outcome.failures}
    kept = tuple(program for program in project.programs if program.name in healthy)
    every = prepared.plan.generation.manifest.programs
    removed = tuple(program.name for program in every if program.name not in healthy)
    if not kept:
        installation = read_installation(tree, project.directories)
        remains = remove_all(tree, installation, options, purge=False)
        manifest = prepared.plan.generation.manifest
        load_restored(tree, manifest, remains.restored, manifest.programs, options)
        return BroughtBack(removed=removed, remains=remains)
    rest = prepare(replace(project, programs=kept), tree, left_out=removed)
    # Those that are kept need not be told anything.
    others = tuple(each for each in rest.plan.activations if each.program.name not in healthy)
    again = put_in_place(tree, replace(rest, plan=replace(rest.plan, activations=others)), options)
    return BroughtBack(rest.plan.generation, removed=removed, failures=tuple(again.failures))


def _states(tree: Tree, project: Project) -> tuple[ProgramState, ...]:
    current = read_installation(tree, project.directories).current
    return states_of(current.manifest) if current else ()


def states_of(manifest: Manifest) -> tuple[ProgramState, ...]:
    """Return what the programs of MANIFEST do now."""
    return tuple(controller_of(manifest).states(manifest.programs))


def load_restored(
    tree: Tree,
    manifest: Manifest,
    restored: Iterable[Path],
    programs: Iterable[InstalledProgram],
    options: RolloutOptions,
) -> None:
    """Have those of PROGRAMS run that the files RESTORED define; what is not loaded is told, for a person to see to."""
    controller = controller_of(manifest)
    for path in restored:
        options.reporter.announce(f"{path} is again as it was before procman took it over")
        found = tree.look(path)
        text = (found.content if found else None) or b""
        for program in programs:
            if f":{program.name}]".encode() not in text and path.stem != program.name:
                continue
            try:
                options.reporter.activate(controller, Activation(Action.ADD, program, True))
            except ProcmanError as error:
                options.reporter.announce(
                    f"{program.name}: could not be loaded from {path} again: {error.message}; see to it by hand"
                )
