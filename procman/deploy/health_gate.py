"""Fails an install whose programs have a problem that only `procman health` finds, such as a second beat (R4)."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from procman.deploy.failure import Failure, without_secrets
from procman.deploy.wait_until_healthy import TAKES_NO_MESSAGES
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Generation, current_generation
from procman.lookup import Installed
from procman.model import Kind, Level
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.project import Project

if TYPE_CHECKING:
    from procman.deploy.rollout import RolloutOptions
    from procman.monitoring.health import Health

PAUSE_SECONDS = 0.5

Problems = frozenset[tuple[str, str | None]]
"""The code and the program of each CRITICAL result."""


def problems_before(tree: Tree, project: Project) -> Problems:
    """Return the problems of the programs that are installed now; none if nothing is, or if nothing answers."""
    generation = current_generation(tree, project.directories.state)
    try:
        return _problems(_examine(generation)) if generation else frozenset()
    except ProcmanError:
        return frozenset()


def new_problems(
    generation: Generation, names: Collection[str], before: Problems, options: RolloutOptions
) -> list[Failure]:
    """Return a failure for each of the programs `names` with a CRITICAL result that it did not have `before`.

    A full disk, say, is no reason to roll back a release, nor are messages that a worker does not take. A result counts
    only if it lasts for two heartbeats; for as long, this waits for the first heartbeat of a program, without which
    some checks cannot judge it.
    """
    manifest = generation.manifest
    deadline = time.monotonic() + 2 * manifest.health.heartbeat_seconds
    while True:
        health = _examine(generation)
        found = _problems(health, names) - before
        is_quiet = not found and not any(_has_yet_to_report(each.snapshot) for each in health.programs)
        if is_quiet or time.monotonic() > deadline:
            break
        options.reporter.progress("checking the health of all programs")
        time.sleep(PAUSE_SECONDS)
    failures = (
        Failure(each.program, f"{result.detail} ({result.code})", result.hint)
        for each in health.programs
        for result in each.results
        if (result.code, result.program) in found
    )
    return [without_secrets(failure, manifest) for failure in failures]


def _examine(generation: Generation) -> Health:
    # Only `--wait` needs all checks.
    from procman.monitoring.health import examine

    return examine(Installed(generation, None))


def _problems(health: Health, names: Collection[str] | None = None) -> Problems:
    return frozenset(
        (result.code, result.program)
        for result in health.everything
        if result.level is Level.CRITICAL and (names is None or result.program in names)
        if result.code != TAKES_NO_MESSAGES
    )


def _has_yet_to_report(snapshot: ProgramSnapshot) -> bool:
    program = snapshot.program
    has_heartbeat = program.launcher and program.kind in (Kind.WORKER, Kind.BEAT)
    return has_heartbeat and snapshot.is_up and not snapshot.says and not snapshot.heartbeat.problem
