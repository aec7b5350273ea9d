"""The instances of a program: their names, and their numbers in the texts of a command."""

from __future__ import annotations

import re
from collections.abc import Iterator

PLACEHOLDER = re.compile(r"\{instance(?::0([2-9]))?\}")
"""`{instance}`, or `{instance:02}` with as many digits at least."""

LOOKS_LIKE_ONE = re.compile(r"\{\s*instance\b[^}]*\}?|%\((?:process_num|numprocs)\)[0-9]*[ds]?", re.IGNORECASE)
"""A placeholder that is misspelt, or that of supervisord."""


def instances(name: str, count: int, first: int = 1) -> Iterator[tuple[str, str, int]]:
    """Yield the installed name, its suffix and the number of each of `count` instances."""
    if count == 1:
        yield name, "", first
        return
    for number in range(first, first + count):
        yield f"{name}-{number}", f"-{number}", number


def with_number(text: str, number: int) -> str:
    """Return `text` with the `number` of the instance in place of each placeholder."""
    return PLACEHOLDER.sub(lambda found: f"{number:0{found[1] or 1}}", text)


def placeholder_problem(text: str) -> str | None:
    """Return the problem with a placeholder in `text` that would reach the command as it is; None if there is none."""
    found = LOOKS_LIKE_ONE.search(PLACEHOLDER.sub("", text))
    if not found:
        return None
    return f"{found[0]} is not replaced: write {{instance}} for the number of the instance, or {{instance:02}}"
