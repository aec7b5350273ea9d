"""`procman check`: whether what an install would start will run, found out without starting or changing anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from procman.model import Level, Result
from procman.monitoring.checks.registry import run
from procman.preflight.gather import gather
from procman.preflight.registry import BEFORE
from procman.probes.app import TIMEOUT_SECONDS
from procman.project import Project


def check(
    project: Project,
    *,
    timeout: float = TIMEOUT_SECONDS,
    set_aside: bool = False,
    replaced: Sequence[Path] | None = None,
) -> list[Result]:
    """Return what every check before an install says of PROJECT, as the user of its programs and in their environment.

    Each question to the app may take TIMEOUT seconds. With SET_ASIDE a schedule that beat cannot read is renamed. With
    REPLACED, files of others that may be taken over, the files are planned and read as an install would; an install
    itself does that anyway. Raises ProcmanError where the caller may not become that user.
    """
    return run(BEFORE, gather(project, timeout=timeout, set_aside=set_aside, replaced=replaced))


def blocking(results: Iterable[Result]) -> list[Result]:
    """Return those of RESULTS that an install should stop for."""
    return [result for result in results if result.level is Level.CRITICAL]
