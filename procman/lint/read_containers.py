"""Recognise Celery in the command of a container, whose files are in an image that cannot be read here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from procman.init.importing.understand import understood
from procman.lint.container_init import without_init
from procman.lint.find_celery import recognised
from procman.lint.inputs import Recognised

ENTRY_POINT = re.compile(r".*\.(?:sh|bash)|.*entry-?point.*", re.IGNORECASE)
"""A script of an image that runs its arguments, as most do."""


def started_in_container(name: str, words: Sequence[str], environment: Mapping[str, str]) -> Recognised:
    """Return what `words` start, behind an init and the script that is the entry point of most images."""
    inside = without_init(words)
    if not inside:
        return Recognised()
    found = _recognised(name, inside, environment)
    if found.command is None and len(inside) > 1 and ENTRY_POINT.fullmatch(Path(inside[0]).name):
        behind = _recognised(name, inside[1:], environment)
        return behind if behind.kind else found
    return found


def _recognised(name: str, words: Sequence[str], environment: Mapping[str, str]) -> Recognised:
    found = understood(list(words), environment, None, place=name, sees_files=False)
    return recognised(name, words, found, environment)
