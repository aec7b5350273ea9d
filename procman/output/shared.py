"""Merge the results that several programs have for the same reason: a cause is printed once."""

from __future__ import annotations

from collections.abc import Iterable

from procman.model import Level, Result
from procman.monitoring.checks.quick import SEVERITY

ANY = "NAME"
"""Printed in a hint instead of the names of several programs."""


def in_order(problems: Iterable[Result]) -> list[Result]:
    """Return `problems`, the most severe first; of CRITICAL ones those of the project, which may cause the others."""

    def rank(result: Result) -> tuple[int, bool]:
        is_of_program = result.program is not None or result.level is not Level.CRITICAL
        return -SEVERITY.index(result.level), is_of_program

    return sorted(problems, key=rank)


def shared(results: Iterable[Result]) -> list[tuple[list[str], Result]]:
    """Return each of `results` once, in order, with the names of the programs that have it; none for the project.

    Results are the same if they differ only in the name of the program.
    """
    found: dict[object, tuple[list[str], Result]] = {}
    for each in results:
        found.setdefault(_reason(each), ([], each))[0].extend([each.program] if each.program else [])
    return [(names, _for_all(result) if len(names) > 1 else result) for names, result in found.values()]


def _reason(result: Result) -> object:
    general = _for_all(result)
    return result.program is None, result.code, result.level, result.accepted, general.detail, general.hint


def _for_all(result: Result) -> Result:
    name = result.program
    return (
        result._replace(detail=result.detail.replace(name, ANY), hint=result.hint.replace(name, ANY))
        if name
        else result
    )
