"""Applies a plan and tells the process manager, program by program, each only when those before it are healthy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from procman.backends import backend_named, controller_of
from procman.backends.base import Controller, Progress
from procman.background import batches, side_by_side
from procman.deploy.prepare import Prepared
from procman.deploy.wait_until_healthy import Unhealthy, wait_until_healthy
from procman.errors import ProcmanError
from procman.install.plan.apply import apply
from procman.install.safe_fs.tree import Tree
from procman.install.state import generations
from procman.install.state.manifest import Manifest
from procman.model import Action, Activation, InstalledProgram
from procman.secrets import masked

LAST_LINES = 10
"""How many lines of its log are told of a program that failed."""


@dataclass(frozen=True)
class Failure:
    """A program that could not be started, or did not become healthy."""

    program: InstalledProgram
    why: str
    hint: str = ""
    log: tuple[str, ...] = ()
    """The last lines of its log, without secrets, as they were at that moment."""


@dataclass(frozen=True)
class Reporter:
    """Where reports of a rollout go, as soon as there is something to report."""

    progress: Progress
    report: Callable[[InstalledProgram, str], None]
    """What was done about a program."""
    announce: Callable[[str], None]
    """What is begun now, in a sentence."""
    report_failure: Callable[[Failure], None]
    """A program that failed, before anything is done about it."""

    def activate(self, controller: Controller, activation: Activation) -> None:
        """Have the process manager carry out ACTIVATION, and report what was done about its program."""
        self.report(activation.program, controller.activate(activation, self.progress))


@dataclass(frozen=True)
class RolloutOptions:
    """How a rollout goes about it."""

    reporter: Reporter
    wait_seconds: float | None = None
    """How long each program may take to become healthy, from the start of its process; None: do not wait."""
    at_once: int = 1
    """How many programs may be down at the same time."""
    lock_seconds: float = 60.0
    """How long to wait for another procman that holds the lock."""


@dataclass
class Outcome:
    """What became of a plan; grows while it is carried out."""

    failures: list[Failure] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    """The programs about which the process manager was told something."""
    healthy: set[str] = field(default_factory=set)
    """Those that were told something and are as they should be: running, or stopped because somebody wants that."""
    desired_states: dict[str, bool] = field(default_factory=dict)
    """Of those that do not run because of this: whether they were to run."""

    @property
    def is_this_plans_doing(self) -> bool:
        """Whether a program failed that this plan has changed: bringing the files back may help."""
        return any(failure.program.name in self.begun for failure in self.failures)


def put_in_place(tree: Tree, prepared: Prepared, options: RolloutOptions) -> Outcome:
    """Apply what is PREPARED and carry out its orders; the first that fails is the last. The lock must be held.

    With `options.wait_seconds` every other program of the project must be healthy in the end, too.
    """
    plan = prepared.plan
    apply(tree, plan, prepared.configuration)
    outcome = activate(tree, plan.generation.manifest, options)
    if options.wait_seconds is not None and not outcome.failures:
        manifest = plan.generation.manifest
        outcome.failures += _unhealthy(manifest, controller_of(manifest), manifest.programs, options)
        _report_failures(outcome, options)
    return outcome


def activate(tree: Tree, manifest: Manifest, options: RolloutOptions) -> Outcome:
    """Carry out what is pending, striking off each when it is done (R2)."""
    state, controller, outcome = manifest.directories.state, controller_of(manifest), Outcome()
    pending = generations.read_pending(tree, state)
    sections = pending.sections if pending else ()
    controller.unload([path for path in sections if not tree.look(path)], options.reporter.progress)
    activations = _with_known_desired_states(tree, state, controller)
    rollout = _Rollout(tree, manifest, options, outcome)
    _end_together(manifest, controller, activations, options.reporter.progress)
    for batch in _batches(activations, options.at_once):
        outcome.begun |= {each.program.name for each in batch}
        groups = [batch] if batch[0].action is Action.ADD else [[each] for each in batch]
        controllers = [controller] if len(groups) == 1 else [controller_of(manifest) for _ in groups]
        calls = [partial(rollout.carry_out, *pair) for pair in zip(controllers, groups, strict=True)]
        for failures in side_by_side(calls):
            outcome.failures += failures
        if outcome.failures:
            _report_failures(outcome, options)
            return outcome
    if sections:
        controller.reload(sections, options.reporter.progress)
        generations.mark_sections_done(tree, state)
    return outcome


def _end_together(
    manifest: Manifest, controller: Controller, activations: Sequence[Activation], progress: Progress
) -> None:
    """Stop all that is to go, beat first and side by side, where removing the first would not do so.

    No task need wait for another one.
    """
    going = [each.program for each in activations if each.action is Action.REMOVE]
    if len(going) > 1 and not backend_named(manifest.backend).stops_removed_together:
        # What could not be ended is told where it is removed.
        with suppress(ProcmanError):
            controller.stop(going, progress)


def _report_failures(outcome: Outcome, options: RolloutOptions) -> None:
    # Without waiting there is nothing to be done about it: the error will say it all.
    for failure in outcome.failures if options.wait_seconds is not None else ():
        options.reporter.report_failure(failure)


def all_done(outcome: Outcome) -> None:
    """Raise the ProcmanError of an order that could not be carried out, where nobody waits for health."""
    for failure in outcome.failures:
        hint = f"{failure.hint}\nThe files are as they should be; the same command again does the rest."
        raise ProcmanError(f"{failure.program.name}: {failure.why}", hint=hint.lstrip())


class _Rollout:
    """Carries out activations and waits until their programs are healthy."""

    def __init__(self, tree: Tree, manifest: Manifest, options: RolloutOptions, outcome: Outcome) -> None:
        self._tree, self._manifest, self._options, self._outcome = tree, manifest, options, outcome
        self._alone = threading.Lock()

    def carry_out(self, controller: Controller, activations: Sequence[Activation]) -> list[Failure]:
        """Carry out ACTIVATIONS one after the other, and only then wait for all of them; return what went wrong.

        Others may be carried out side by side.
        """
        activated = [(each, self._activate(controller, each)) for each in activations]
        waiting = [each for each, failure in activated if failure is None]
        return [*(failure for _, failure in activated if failure), *self._wait(controller, waiting)]

    def _activate(self, controller: Controller, activation: Activation) -> Failure | None:
        program, removes = activation.program, activation.action is Action.REMOVE
        try:
            done = controller.activate(activation, self._options.reporter.progress)
        except ProcmanError as error:
            self._remember(activation)
            log = () if removes or activation.desired is False else _last_lines(controller, program)
            return Failure(program, error.message, error.hint, log)
        with self._alone:
            if removes:
                self._remember(activation)
            self._options.reporter.report(program, done)
            generations.mark_done(self._tree, self._manifest.directories.state, activation)
        return None

    def _wait(self, controller: Controller, activations: Sequence[Activation]) -> list[Failure]:
        if self._options.wait_seconds is None:
            return []
        kept = [each for each in activations if each.action is not Action.REMOVE]
        running = [each.program for each in kept if each.desired is not False]
        failures = _unhealthy(self._manifest, controller, running, self._options) if running else []
        failed = {failure.program.name for failure in failures}
        self._outcome.desired_states.update(dict.fromkeys(failed, True))
        self._outcome.healthy |= {each.program.name for each in kept} - failed
        return failures

    def _remember(self, activation: Activation) -> None:
        if activation.desired is not None:
            self._outcome.desired_states[activation.program.name] = activation.desired


def _unhealthy(
    manifest: Manifest, controller: Controller, programs: Sequence[InstalledProgram], options: RolloutOptions
) -> list[Failure]:
    seconds = options.wait_seconds or 0
    return [
        Failure(
            each.program,
            f"did not become healthy within {seconds:g} s of its start: {each.result.detail}{_restarted(each)}",
            each.result.hint,
            _last_lines(controller, each.program),
        )
        for each in wait_until_healthy(controller, programs, seconds, options.reporter.progress, manifest)
    ]


def _restarted(each: Unhealthy) -> str:
    # One that dies at once is "starting" most of the time.
    return f" (it was started again {each.state.restarts} times)" if each.state.restarts else ""


def _last_lines(controller: Controller, program: InstalledProgram) -> tuple[str, ...]:
    try:
        said = "".join(controller.logs(program, LAST_LINES, follow=False))
    except ProcmanError as error:
        return (error.message,)
    return tuple(masked(line) for line in said.splitlines()[-LAST_LINES:])


def _batches(activations: Sequence[Activation], at_once: int) -> Iterator[list[Activation]]:
    """Yield what is told together: new programs of a kind, for nothing is down while they come up; those that are
    restarted, AT_ONCE of a kind; and those that go one by one."""

    def alike(activation: Activation) -> object:
        return activation.program.name if activation.action is Action.REMOVE else activation.program.kind

    for is_new, group in groupby(activations, lambda activation: activation.action is Action.ADD):
        every = list(group)
        yield from batches(every, len(every) if is_new else at_once, alike)


def _with_known_desired_states(tree: Tree, state: Path, controller: Controller) -> tuple[Activation, ...]:
    """Record whether each program was to run before procman's own stop can be taken for a person's (R11)."""
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
