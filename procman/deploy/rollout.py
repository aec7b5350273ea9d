"""Applies a plan and activates the programs one by one, each only after those before it are healthy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby

from procman.backends import controller_of
from procman.backends.base import Controller, Progress
from procman.background import batches, side_by_side
from procman.config.private_file import secrets_of_programs
from procman.deploy.adopt import Adopting
from procman.deploy.bring_up import TOGETHER, bring_up
from procman.deploy.end_outlived import EndOfOutlived
from procman.deploy.failure import Failure, last_lines, unhealthy, without_secrets
from procman.deploy.keeper_answer import NotOverlapping
from procman.deploy.order_records import forget, log_events, ordered, remember, running_tasks
from procman.deploy.overlap import FAILED_SECONDS, OVERLAPPED, overlap, wait_for_slots
from procman.deploy.prepare import Prepared
from procman.deploy.stopping import end_together, with_known_desired_states
from procman.errors import ProcmanError
from procman.install.plan.apply import apply
from procman.install.plan.plan import Plan
from procman.install.safe_fs.tree import Tree
from procman.install.state import generations
from procman.install.state.authorship import UNKNOWN, Authorship
from procman.install.state.event_log import Event
from procman.install.state.generations import Generation
from procman.install.state.lock import LOCK_SECONDS
from procman.install.state.manifest import Manifest
from procman.install.state.orders import note_order
from procman.model import Action, Activation, InstalledProgram
from procman.monitoring.kept import overlap_ended

INSTALLED = "installed"


@dataclass(frozen=True)
class Reporter:
    """Receives reports of a rollout as it happens."""

    progress: Progress
    report: Callable[[InstalledProgram, str], None]
    """Reports what was done to a program."""
    announce: Callable[[str], None]
    """Reports a step that begins now."""
    report_failure: Callable[[Failure], None]
    """Reports a program that failed, before procman reacts to it."""

    def activate(self, controller: Controller, activation: Activation) -> None:
        """Carry out `activation` and report what was done to its program."""
        self.report(activation.program, controller.activate(activation, self.progress))


@dataclass(frozen=True)
class RolloutOptions:
    """How a rollout is carried out."""

    reporter: Reporter
    wait_seconds: float | None = None
    """How long each program may take to become healthy, from the start of its process; None: do not wait."""
    at_once: int = 1
    """How many programs may be down at the same time."""
    lock_seconds: float = LOCK_SECONDS
    """How long to wait for another procman command that holds the lock."""
    made: Authorship = UNKNOWN
    """Who rolls out, and why; recorded with the generation."""
    verb: str = INSTALLED
    """The name of its events: installed, rolled back or uninstalled."""


@dataclass
class Outcome:
    """The result of a plan, filled in while it is carried out."""

    failures: list[Failure] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    """The programs whose activation has begun."""
    healthy: set[str] = field(default_factory=set)
    """The activated programs that are in their desired state: healthy, or stopped on purpose."""
    desired_states: dict[str, bool] = field(default_factory=dict)
    """Whether the programs that were removed or failed should run."""

    @property
    def is_this_plans_doing(self) -> bool:
        """Return whether a program failed that this plan changed, so that a rollback may help."""
        return any(failure.program.name in self.begun for failure in self.failures)


def put_in_place(tree: Tree, prepared: Prepared, options: RolloutOptions) -> Outcome:
    """Apply the plan in `prepared` and activate its programs, up to the first that fails. The lock must be held.

    With `options.wait_seconds`, all other programs of the project must be healthy at the end, too.
    """
    plan = prepared.plan
    options = _without_secrets_in_message(options, plan.generation.manifest)
    apply(tree, plan, prepared.configuration, options.made)
    if not plan.nothing_to_do:
        log_events(plan.generation.manifest, [_event_of(plan.generation, options)])
    outcome = activate(tree, plan.generation.manifest, options, _brought_up(plan, options))
    if options.wait_seconds is not None and not outcome.failures:
        manifest = plan.generation.manifest
        outcome.failures += _unhealthy(controller_of(manifest), manifest, manifest.programs, options)
        report_failures(outcome, options)
    return outcome


def _without_secrets_in_message(options: RolloutOptions, manifest: Manifest) -> RolloutOptions:
    """Return `options` with a message that quotes no value of the environment file: every user may read it."""
    message = options.made.message
    if not message:
        return options
    for file, user, _ in manifest.environment_files():
        message = secrets_of_programs(file, user).masked(message)
    return replace(options, made=replace(options.made, message=message))


def _brought_up(plan: Plan, options: RolloutOptions) -> Collection[str]:
    """Start the process manager if it is not running; return the programs that came up with it."""
    manifest, activations = plan.generation.manifest, plan.activations
    if activations and all(each.action is Action.REMOVE for each in activations):
        return ()
    held = {each.program.name for each in activations if each.desired is False}
    expected = {each.program.name for each in activations}
    try:
        # While existing programs run, none of the project's may come up together with its supervisord.
        later = expected - held if plan.adoptions else ()
        brought = bring_up(
            controller_of(manifest), options.reporter.announce, held=held, later=later, reported=expected
        )
    except ProcmanError:
        if activations:
            return ()  # the first activation fails for the same reason, and names what is left to do
        raise
    return brought.started if brought else ()


def _event_of(generation: Generation, options: RolloutOptions) -> Event:
    back = generation.manifest.brought_back
    reason = f"generation {generation.number}" + (f", which is generation {back} again" if back else "")
    return ordered("", options.verb, reason=": ".join(filter(None, (reason, options.made.message))))


def activate(tree: Tree, manifest: Manifest, options: RolloutOptions, brought_up: Collection[str] = ()) -> Outcome:
    """Carry out the pending activations, recording each one that is done (R2).

    The programs in `brought_up` have just been started from the current files.
    """
    state, controller, outcome = manifest.directories.state, controller_of(manifest), Outcome()
    pending = generations.read_pending(tree, state)
    sections = pending.sections if pending else ()
    controller.unload([path for path in sections if not tree.look(path)], options.reporter.progress)
    activations = with_known_desired_states(tree, state, controller)
    adopting = Adopting(tree, manifest, options, outcome, pending)
    end_together(manifest, controller, activations, options.reporter.progress)
    batches_of_all = _batches(activations, options.at_once, adopting.successors)
    _Rollout(tree, manifest, options, outcome, brought_up).carry_out_all(controller, batches_of_all, adopting)
    if outcome.failures:
        report_failures(outcome, options)
        return outcome
    if sections:
        controller.reload(sections, options.reporter.progress)
        generations.mark_sections_done(tree, state)
    return outcome


def report_failures(outcome: Outcome, options: RolloutOptions) -> None:
    """Report each failure of `outcome` as it happens."""
    # Without --wait, `all_done` raises the failure as an error.
    for failure in outcome.failures if options.wait_seconds is not None else ():
        options.reporter.report_failure(failure)


def all_done(outcome: Outcome) -> None:
    """Raise ProcmanError for the first activation that failed, if the caller does not wait for health."""
    for failure in outcome.failures:
        hint = f"{failure.hint}\nThe files are already changed; run the same command again to do the rest."
        raise ProcmanError(f"{failure.program.name}: {failure.why}", hint=hint.lstrip())


class _Failed(Exception):
    """An overlap failed; the earlier process still consumes."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.why)
        self.failure = failure


class _Rollout:
    """Carries out activations and waits until their programs are healthy."""

    def __init__(
        self,
        tree: Tree,
        manifest: Manifest,
        options: RolloutOptions,
        outcome: Outcome,
        brought_up: Collection[str],
    ) -> None:
        self._tree, self._manifest, self._options, self._outcome = tree, manifest, options, outcome
        self._brought_up = brought_up
        self._alone = threading.Lock()

    def carry_out_all(
        self, controller: Controller, batches_of_all: Iterable[Sequence[Activation]], adopting: Adopting
    ) -> None:
        """Carry out each batch after those before it, up to the first failure, and the adoptions that belong to it."""
        for batch in batches_of_all:
            if batch[0].action is not Action.REMOVE:
                adopting.begin()
            names = {each.program.name for each in batch}
            self._outcome.begun |= names
            adopting.make_room(names)
            if not self._outcome.failures:
                self.carry_out_together(controller, batch)
            if self._outcome.failures:
                return
        adopting.begin()

    def carry_out_together(self, controller: Controller, batch: Sequence[Activation]) -> None:
        """Carry out `batch`: new programs one after the other, restarts at once."""
        groups = [batch] if batch[0].action is Action.ADD else [[each] for each in batch]
        controllers = [controller] if len(groups) == 1 else [controller_of(self._manifest) for _ in groups]
        calls = [partial(self.carry_out, *pair) for pair in zip(controllers, groups, strict=True)]
        for failures in side_by_side(calls):
            self._outcome.failures += failures

    def carry_out(self, controller: Controller, activations: Sequence[Activation]) -> list[Failure]:
        """Carry out `activations` one after the other, then wait for all of them; return the failures.

        May be called from several threads at once.
        """
        activated = [(each, self._activate(controller, each)) for each in activations]
        waiting = [each for each, failure in activated if failure is None]
        return [*(failure for _, failure in activated if failure), *self._wait(controller, waiting)]

    def _activate(self, controller: Controller, activation: Activation) -> Failure | None:
        program, removes, began = activation.program, activation.action is Action.REMOVE, time.time()
        tasks = running_tasks(self._manifest, controller, [program]) if activation.action is not Action.ADD else {}
        note_order(self._manifest, [program])
        if activation.desired and activation.action in (Action.REPLACE, Action.RESTART, Action.OVERLAP):
            remember(self._manifest, [program], desired=True)
        try:
            if program.name in self._brought_up and not removes:
                done = TOGETHER
            else:
                done = self._carried_out(controller, activation)
        except _Failed as failed:
            self._remember(activation)
            return failed.failure
        except ProcmanError as error:
            self._remember(activation)
            log = () if removes or activation.desired is False else last_lines(controller, program)
            return without_secrets(Failure(program, error.message, error.hint, log), self._manifest)
        with self._alone:
            if removes:
                self._remember(activation)
            self._options.reporter.report(program, done)
            generations.mark_done(self._tree, self._manifest.directories.state, activation)
            if removes or activation.desired:
                forget(self._manifest, [program])
            # One event of an overlap: the keeper's own has the same time.
            at = overlap_ended(self._manifest, program, began) if done == OVERLAPPED else None
            event = ordered(program.name, self._options.verb, reason=done, tasks=tasks.get(program.name), at=at)
            log_events(self._manifest, [event])
        return None

    def _carried_out(self, controller: Controller, activation: Activation) -> str:
        """Carry out `activation` and return what was done; an overlap becomes a restart if nothing can overlap."""
        progress = self._options.reporter.progress
        program = activation.program
        if activation.action is Action.ADD:
            return controller.activate(activation, progress)
        if activation.action is not Action.OVERLAP or activation.desired is False:
            return self._restarted(controller, activation)
        if self._options.verb != INSTALLED:
            wait_for_slots(controller, self._manifest, [program], progress, FAILED_SECONDS)
        try:
            failure = overlap(controller, self._manifest, program, progress)
        except NotOverlapping as error:
            self._options.reporter.announce(f"{error.message}; it is restarted without an overlap")
            return self._restarted(controller, replace(activation, action=Action.RESTART))
        if failure:
            raise _Failed(failure)
        return OVERLAPPED

    def _restarted(self, controller: Controller, activation: Activation) -> str:
        outlived = EndOfOutlived(self._manifest, controller, [activation.program])
        done = controller.activate(activation, self._options.reporter.progress)
        outlived.wait(self._options.reporter.progress)
        return done

    def _wait(self, controller: Controller, activations: Sequence[Activation]) -> list[Failure]:
        if self._options.wait_seconds is None:
            return []
        kept = [each for each in activations if each.action is not Action.REMOVE]
        running = [each.program for each in kept if each.desired is not False]
        failures = _unhealthy(controller, self._manifest, running, self._options) if running else []
        failed = {failure.program.name for failure in failures}
        self._outcome.desired_states.update(dict.fromkeys(failed, True))
        self._outcome.healthy |= {each.program.name for each in kept} - failed
        return failures

    def _remember(self, activation: Activation) -> None:
        if activation.desired is not None:
            self._outcome.desired_states[activation.program.name] = activation.desired


def _unhealthy(
    controller: Controller, manifest: Manifest, programs: Sequence[InstalledProgram], options: RolloutOptions
) -> list[Failure]:
    return unhealthy(controller, manifest, programs, options.wait_seconds or 0, options.reporter.progress)


def _batches(
    activations: Sequence[Activation], at_once: int, successors: Collection[str] = ()
) -> Iterator[list[Activation]]:
    """Yield the activations to carry out together: all new programs of one kind, because nothing is down while they
    start; `at_once` restarts of one kind, or `successors` of adopted programs; removals one by one."""

    def alike(activation: Activation) -> object:
        return activation.program.name if activation.action is Action.REMOVE else activation.program.kind

    def is_new(activation: Activation) -> bool:
        return activation.action is Action.ADD and activation.program.name not in successors

    for new, group in groupby(activations, is_new):
        every = list(group)
        yield from batches(every, len(every) if new else at_once, alike)
