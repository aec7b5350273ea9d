"""`procman restart`: restarts installed programs gracefully, each only after those before it are healthy."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from procman.backends import controller_of
from procman.background import batches, side_by_side
from procman.deploy.bring_up import TOGETHER, bring_up
from procman.deploy.cut_drainers import cut_by_stop
from procman.deploy.end_outlived import EndOfOutlived
from procman.deploy.failure import Failure, unhealthy
from procman.deploy.keeper_answer import NotOverlapping
from procman.deploy.order_records import forget, log_events, ordered, restart_recorded
from procman.deploy.overlap import OVERLAPPED, overlap, require_overlap, wait_for_slots
from procman.deploy.rollout import RolloutOptions
from procman.deploy.unfinished import UnfinishedTask, UnfinishedTasks
from procman.install.state.lock import hold_lock
from procman.install.state.manifest import Manifest
from procman.lookup import Installed
from procman.model import InstalledProgram
from procman.monitoring.draining import OUTLIVED, described
from procman.monitoring.kept import overlap_ended
from procman.program_names import resolve


class How(NamedTuple):
    """How workers that overlap are restarted."""

    overlap: bool = False
    wait_for_slot: bool = False
    """Wait until a slot is free for the successor."""
    no_wait: bool = False
    """Only order the restarts: each program starts again once its running tasks have finished."""


USUAL = How()


class Restarted(NamedTuple):
    """A program that was restarted."""

    program: InstalledProgram
    done: str
    failure: Failure | None
    """Why it did not become healthy."""
    unfinished: tuple[UnfinishedTask, ...] = ()
    """The tasks that the process before did not finish."""


def restart(
    installed: Installed,
    names: Sequence[str],
    options: RolloutOptions,
    before: Callable[[Sequence[InstalledProgram]], None] | None = None,
    how: How = USUAL,
) -> Iterator[Restarted]:
    """Restart the programs that `names` select, `options.at_once` at a time, the next only when those are healthy.

    Workers come before beat. Without names, programs that were stopped on purpose are left alone (R11). `before` is
    called with the programs, and raises ProcmanError to prevent the restart. Yields each program, with why it did not
    become healthy within `options.wait_seconds` of its start, and with the tasks that it did not finish before; after
    such a failure no further program is restarted. An interruption raises KeyboardInterrupt with a hint for the user.
    """
    installed.require_whole()
    manifest = installed.manifest
    if how.overlap:
        require_overlap(manifest, names)
    if how.wait_for_slot:
        able = [each for each in resolve(manifest.project, manifest.programs, names) if each.overlap_max]
        wait_for_slots(controller_of(manifest), manifest, able, options.reporter.progress)
    with hold_lock(manifest.directories.shared_state, options.lock_seconds, options.reporter.progress):
        programs = _desired(manifest, names, options)
        if before:
            before(programs)
        fresh = _brought_up(manifest, programs, options)
        for batch in batches(programs, options.at_once, lambda program: program.kind):
            calls = [partial(_restart, manifest, each, options, how, is_new=each.name in fresh) for each in batch]
            try:
                done = list(side_by_side(calls))
            except KeyboardInterrupt:
                reason = "its restart was interrupted"
                log_events(manifest, [ordered(each.name, "stopped", reason=reason) for each in batch])
                raise KeyboardInterrupt(_may_stay_stopped(batch)) from None
            yield from done
            if any(each.failure for each in done):
                return


def _desired(manifest: Manifest, names: Sequence[str], options: RolloutOptions) -> list[InstalledProgram]:
    programs = resolve(manifest.project, manifest.programs, names)
    if names:
        return programs
    states = controller_of(manifest).states(programs)
    for state in states:
        if not state.desired:
            options.reporter.announce(f"{state.name}: stopped on purpose, so it is not restarted")
    return [program for program, state in zip(programs, states, strict=True) if state.desired]


def _brought_up(manifest: Manifest, programs: Sequence[InstalledProgram], options: RolloutOptions) -> Collection[str]:
    """Start the process manager if it is not running; return the programs that came up with it."""
    controller, names = controller_of(manifest), {program.name for program in programs}
    brought = bring_up(controller, options.reporter.announce, wanted=names)
    return brought.started if brought else ()


def _restart(
    manifest: Manifest, program: InstalledProgram, options: RolloutOptions, how: How, *, is_new: bool
) -> Restarted:
    if how.overlap and program.overlap_max and not is_new:
        try:
            return _overlap(manifest, program, options)
        except NotOverlapping as error:
            options.reporter.announce(f"{error.message}; it is restarted without an overlap")
    if how.no_wait and not is_new:
        return _order(manifest, program, options)
    # A controller waits for one answer at a time, so each thread needs its own.
    controller, unfinished = controller_of(manifest), UnfinishedTasks(manifest, [program])
    if is_new:
        forget(manifest, [program])
        log_events(manifest, [ordered(program.name, "started")])
    else:
        for cut in cut_by_stop(manifest, controller, [program]):
            options.reporter.announce(cut.text)
        outlived = EndOfOutlived(manifest, controller, [program])
        with restart_recorded(manifest, controller, program):
            controller.restart(program, options.reporter.progress)
        outlived.wait(options.reporter.progress)
    seconds, progress = options.wait_seconds or 0, options.reporter.progress
    failures = unhealthy(controller, manifest, [program], seconds, progress, until_started=False)
    done = TOGETHER if is_new else "restarted"
    return Restarted(program, done, failures[0] if failures else None, unfinished.of(program))


def _overlap(manifest: Manifest, program: InstalledProgram, options: RolloutOptions) -> Restarted:
    controller, progress = controller_of(manifest), options.reporter.progress
    began = time.time()
    failure = overlap(controller, manifest, program, progress)
    # At once: a signal may order the next one.
    at = overlap_ended(manifest, program, began)
    if failure is None:
        # The successor may have ended as soon as it consumed.
        failures = unhealthy(controller, manifest, [program], options.wait_seconds or 0, progress, until_started=False)
        failure = failures[0] if failures else None
    what, reason = ("overlap failed", failure.why) if failure else ("overlapped", "")
    log_events(manifest, [ordered(program.name, what, reason=reason, at=at)])
    return Restarted(program, OVERLAPPED, failure)


def _order(manifest: Manifest, program: InstalledProgram, options: RolloutOptions) -> Restarted:
    controller = controller_of(manifest)
    for each in cut_by_stop(manifest, controller, [program]):
        # A process that has outlived its keeper is not waited for.
        if each.draining.state != OUTLIVED:
            text = described(each.draining)
            options.reporter.announce(f"{program.name}: {text}; the worker starts again only after that")
    with restart_recorded(manifest, controller, program):
        controller.order_restart(program)
    return Restarted(program, "is restarted once its running tasks have finished", None)


def _may_stay_stopped(programs: Sequence[InstalledProgram]) -> str:
    which = ", ".join(program.name for program in programs)
    names = " ".join(program.name for program in programs)
    return f"{which} may stop now, and will not start again. Start it with: procman start {names}"
