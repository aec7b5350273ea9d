"""Leave out of a command the words that depend on a variable whose value is unknown, and only those."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from procman.backends.supervisor.configuration.effective import as_written, unknown_names
from procman.celery_cli.parse import KNOWN, LONG_FLAGS
from procman.celery_cli.script_file import SHELL
from procman.celery_cli.write import SHORT_FLAGS
from procman.secrets import masked

PROGRAM = re.compile(r"(celery|python[0-9.]*)\Z")


@dataclass(frozen=True)
class Lost:
    """Words that are left out of a command."""

    text: str
    """As it is written in the file, with its option and without passwords."""
    names: tuple[str, ...]
    """The unknown variables."""


def known_words(words: Sequence[str], form: str = "%(ENV_{})s") -> tuple[list[str], list[Lost]]:
    """Return `words` without those that have an unknown variable, and what that leaves out.

    An option whose value is unknown is left out with it. Of a path to Celery or Python, only the directory is. `form`
    is how the file writes a variable.
    """
    kept: list[str] = []
    lost: list[Lost] = []
    for word in words:
        if not unknown_names(word):
            kept.append(word)
        elif " " in word and kept[-1:] == ["-c"] and SHELL.fullmatch(Path(kept[0]).name):
            inner, more = known_words(word.split(" "), form)
            kept.append(" ".join(inner))
            lost += more
        else:
            _leave_out(word, form, kept, lost)
    return kept, lost


def _leave_out(word: str, form: str, kept: list[str], lost: list[Lost]) -> None:
    name = word.rpartition("/")[2]
    option = ""
    if "/" in word and PROGRAM.fullmatch(name):
        kept.append(name)
    elif kept and needs_value(kept[-1]):
        option = kept.pop()
        if kept and Path(kept[-1]).name == "nice":
            # Without its option, it would add 10.
            option = f"{kept.pop()} {option}"
    text = as_written(word, form)
    lost.append(Lost(masked(f"{option} {text}".strip()), tuple(unknown_names(word))))


def needs_value(word: str) -> bool:
    """Return whether `word` is an option of Celery whose value is the next word."""
    if word.startswith("--"):
        return word in KNOWN and word not in LONG_FLAGS
    return len(word) == 2 and word.startswith("-") and word[1] not in SHORT_FLAGS
