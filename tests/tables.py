"""Tables of short cases that one test runs in a loop.

pytest and xdist need milliseconds for each test, more than a pure function needs for dozens of cases. Use
`pytest.mark.parametrize` for cases that take longer, and those with fixtures, which a case could change for the next.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import pytest

Test = Callable[..., None]

LONGEST_CASE = 300


def for_each(names: str | Sequence[str], cases: Iterable[Any]) -> Callable[[Test], Test]:
    """Call the test with each of `cases` as the arguments `names`, and report all that fail."""
    keys = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    table = [(case,) if len(keys) == 1 else case for case in cases]
    assert table

    def decorate(test: Test) -> Test:
        @wraps(test)
        def run(**others: Any) -> None:
            failed: list[tuple[str, BaseException]] = []
            for case in table:
                arguments = dict(zip(keys, case, strict=True))
                try:
                    test(**arguments, **others)
                except (Exception, pytest.fail.Exception) as error:
                    failed.append((f"{arguments!r:.{LONGEST_CASE}}", error))
            if failed:
                shown = "\n\n".join(f"with {case}:\n{error}" for case, error in failed)
                raise AssertionError(f"{len(failed)} of {len(table)} cases fail\n\n{shown}") from failed[0][1]

        signature = inspect.signature(test)
        others = [each for each in signature.parameters.values() if each.name not in keys]
        run.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return run

    return decorate
