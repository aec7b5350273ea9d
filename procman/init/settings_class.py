"""Choose the class of settings of django-configurations, which its own variable names beside the settings module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from procman.init.look_below import source_of
from procman.init.settings_modules import best, phrase, shown

VARIABLE = "DJANGO_CONFIGURATION"

CLASS = re.compile(VARIABLE + r"""["']\s*(?:,|\]\s*=)\s*["'](\w+)["']""")


@dataclass(frozen=True)
class ChosenClass:
    """The value of the variable; None: no file names one, or the app sets it itself."""

    name: str | None = None
    source: str = ""
    """The files that name it."""
    note: str = ""
    """Why it is this one, if a file names another."""


def choose_class(directory: Path, own: Sequence[Path], others: Iterable[Path]) -> ChosenClass:
    """Return the class for the programs of the project in `directory`: rather for production than for development.

    `own` are the files that the app is imported from, `others` those that other processes start with.
    """
    named: dict[str, list[str]] = {}
    for file in dict.fromkeys([*own, *others]):
        found = CLASS.search(source_of(file))
        if found:
            named.setdefault(found[1], []).append(shown(file, directory))
    chosen = best(named) or next(reversed(named), None)
    if chosen is None or any(shown(file, directory) in named[chosen] for file in own):
        return ChosenClass()
    source = " and ".join(named[chosen])
    if len(named) == 1:
        return ChosenClass(chosen, source)
    phrases = ", ".join(phrase(each, named[each]) for each in sorted(named, key=lambda each: each == chosen))
    note = f"{VARIABLE}: {phrases}; {chosen} is written; change it in [environment] if this host needs another"
    return ChosenClass(chosen, source, note)
