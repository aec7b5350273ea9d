"""Read the options of a wrapper, which end at its first other word, as getopt(3) does with a leading `+` (pure)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Read:
    """What the options of a wrapper are, and what follows them."""

    options: tuple[tuple[str, str], ...]
    """Each with its value; empty: a flag."""
    rest: tuple[str, ...]

    def value(self, *names: str) -> str | None:
        """Return the value of the last option with one of `names`; None if it is not set."""
        return next((value for name, value in reversed(self.options) if name in names), None)

    def has(self, *names: str) -> bool:
        """Return whether one of the options `names` is set."""
        return self.value(*names) is not None


def read_options(words: Sequence[str], valued: Collection[str], *, all_valued: bool = False) -> Read:
    """Read the options at the start of `words`; `valued` are those with a value in the next word, or behind them.

    With `all_valued`, every long option has a value.
    """
    found: list[tuple[str, str]] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            if not equals and rest and (all_valued or name in valued):
                value = rest.pop(0)
            found.append((name, value))
        else:
            found += _short(word, rest, valued)
    return Read(tuple(found), tuple(rest))


def _short(word: str, rest: list[str], valued: Collection[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for at, letter in enumerate(word[1:], start=1):
        name = f"-{letter}"
        if name in valued:
            value = word[at + 1 :] or (rest.pop(0) if rest else "")
            return [*found, (name, value)]
        found.append((name, ""))
    return found
