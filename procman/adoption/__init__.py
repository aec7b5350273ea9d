"""Find existing programs that a project adopts, stop them gracefully, and bring them back; one module per scheme."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, cast

from procman.errors import ProcmanError
from procman.sources import INIT_D, PROCFILE, SUPERVISOR, SYSTEMD, Source

if TYPE_CHECKING:
    from procman.adoption.base import Adopter, Candidate
    from procman.project import Project

MODULES = {SUPERVISOR: "supervisord", SYSTEMD: "systemd", INIT_D: "init_d", PROCFILE: "procfile"}
"""The module that implements `Adopter`, by the scheme of its sources."""


def adopter_of(scheme: str) -> Adopter:
    """Return the adopter of the sources with `scheme`."""
    return cast("Adopter", import_module(f"procman.adoption.{MODULES[scheme]}"))


def find(sources: Sequence[Source], project: Project) -> list[Candidate]:
    """Return what runs `sources`, each source in exactly one candidate.

    Raises one ProcmanError with a line for each source that matches nothing or cannot be adopted.
    """
    found: list[Candidate] = []
    problems: list[str] = []
    for scheme in dict.fromkeys(source.scheme for source in sources):
        try:
            found += adopter_of(scheme).find([each for each in sources if each.scheme == scheme], project)
        except ProcmanError as error:
            problems += [error.in_one_line]
    if problems:
        raise ProcmanError("\n".join(problems))
    return found
