"""Finds the name that somebody meant who mistyped it."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_NAME = 100
"""Nobody mistypes a longer one, and comparing takes time that grows with the square of it."""


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the one of the KNOWN names that is most like NAME, None if none is at least as like as CUTOFF (0 to 1)."""
    import difflib  # for mistakes alone

    return next(iter(difflib.get_close_matches(name[:LONGEST_NAME], list(known), n=1, cutoff=cutoff)), None)
