"""What a container has beside its command, in a form that two containers can be compared by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST = 2000
"""Values: aliases of YAML can multiply a few lines without end."""


def flattened(value: Any) -> tuple[str, ...] | None:
    """Return a nested `value` of YAML in one row, equal for equal values; None if it is too large to compare."""
    found, waiting = list[str](), [value]
    while waiting:
        if len(found) + len(waiting) > MOST:
            return None
        each = waiting.pop()
        if isinstance(each, Mapping):
            found.append(f"{len(each)} keys")
            for name in sorted(each, key=str):
                waiting += [each[name], str(name)]
        elif isinstance(each, list):
            found.append(f"{len(each)} items")
            waiting += each
        else:
            found.append(repr(each))
    return tuple(found)
