"""Run the checks before an install (`procman check`), without starting or changing anything."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from procman.model import Level, Result
from procman.monitoring.checks.accepted import with_accepted
from procman.monitoring.checks.registry import run
from procman.preflight.app import app_is_imported
from procman.preflight.examined import with_examined
from procman.preflight.gather import gather, gather_imports
from procman.preflight.registry import BEFORE
from procman.probes.app import TIMEOUT_SECONDS
from procman.project import Project


def check(
    project: Project,
    *,
    timeout: float = TIMEOUT_SECONDS,
    set_aside: bool = False,
    replaced: Sequence[Path] = (),
    is_planned: bool = False,
) -> list[Result]:
    """Return the results of every check on `project`, run as the user and in the environment of its programs.

    A check that had something to examine and found no problem has an OK.

    `timeout`: seconds for each query of the app. `set_aside`: rename a schedule that beat cannot read. `replaced`: the
    unmanaged files whose programs the install adopts. `is_planned`: also plan and verify the files of the install,
    which `procman install` itself does anyway. Raises ProcmanError if the caller may not become the programs'
    user.
    """
    facts = gather(project, timeout=timeout, set_aside=set_aside, replaced=replaced, is_planned=is_planned)
    return with_accepted(with_examined(run(BEFORE, facts), BEFORE, facts), project.accept)


def check_import(project: Project, names: Collection[str], *, timeout: float = TIMEOUT_SECONDS) -> list[Result]:
    """Return PM711 for the programs `names`, which runs their new code up to the point where a worker would start."""
    return list(app_is_imported(gather_imports(project, names, timeout=timeout)))


def blocking(results: Iterable[Result]) -> list[Result]:
    """Return the results that must stop an install."""
    return [result for result in results if result.level is Level.CRITICAL]
