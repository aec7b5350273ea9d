"""Quote values for POSIX sh (S1)."""

from __future__ import annotations

import shlex

from procman.quoting import Encoded, checked


def shell(value: object) -> Encoded:
    """Return `value` as one word of POSIX sh."""
    return Encoded(shlex.quote(checked(value)))


def shell_words(words: tuple[str, ...]) -> Encoded:
    """Return `words` as a command line of POSIX sh."""
    return Encoded(" ".join(shell(word) for word in words))
