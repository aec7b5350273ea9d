"""Find the correct spelling of a mistyped name."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_NAME = 100
"""No name is longer, and the time of a comparison grows with the square of the length."""


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the `known` name most similar to `name`; None if no similarity (0 to 1) reaches `cutoff`."""
    import difflib  # only for mistakes

    return next(iter(difflib.get_close_matches(name[:LONGEST_NAME], list(known), n=1, cutoff=cutoff)), None)
