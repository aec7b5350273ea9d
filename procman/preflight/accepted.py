"""PM605: the warnings that `accept` in `[project]` names still occur."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from procman.model import Level, Result
from procman.monitoring.checks.registry import Check, run
from procman.preflight.inputs import PreflightFacts


def accepted_still_occurs(others: Sequence[Check[PreflightFacts]], preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM605 for each accepted code that none of the checks in `others` warns about any more.

    Warnings that come and go are not judged, and none is if some facts are unknown: if a check has failed, or if the
    caller cannot see what the programs' user and root can.
    """
    project = preflight.project
    if not project.accept or not preflight.sees_everything:
        return
    results = run(others, preflight)
    if any(result.level in (Level.CRITICAL, Level.UNKNOWN) for result in results):
        return
    occurring = {result.code for result in results if result.level is Level.WARNING}
    judged = {check.code for check in others if not check.comes_and_goes}
    for code in dict.fromkeys(project.accept):
        if code in judged - occurring:
            detail = f"accept names {code}, but this warning no longer occurs"
            hint = f"Remove {code} from accept in [project] of {project.configuration_file}."
            yield Result("PM605", None, Level.WARNING, detail, hint)
