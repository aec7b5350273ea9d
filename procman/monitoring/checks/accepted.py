"""Warnings that an administrator accepts (`accept` in `[project]`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from procman.model import Level, Result


def with_accepted(results: Iterable[Result], accept: Collection[str]) -> list[Result]:
    """Return `results`, in which the warnings with a code in `accept` are marked, and OK.

    Any other level, above all CRITICAL, stays as it is.
    """
    return [
        result._replace(level=Level.OK, accepted=True)
        if result.level is Level.WARNING and result.code in accept
        else result
        for result in results
    ]
