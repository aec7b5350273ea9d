"""Read the command lines of running workers and beats, as the kernel shows them; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from procman.agent import LAUNCHER

CELERY = "celery"
"""A word of every command line that starts Celery."""

MODULES = (f"{CELERY}/__main__.py", f"{CELERY}/bin/celery.py")

TITLE = re.compile(r"\[celeryd: \S+:MainProcess\][^(]*\((?P<worker>.*)\)|\[celery beat\] ?(?P<beat>.*)")
"""The command line that Celery shows in place of its own if setproctitle is installed (celery.platforms)."""

BEAT_INSIDE = ("-B", "--beat")
"""The option of a worker that has a beat inside it."""

FLAGS = ("-C", "--no-color", "-q", "--quiet", "--skip-checks", "--version")
"""The options in front of the subcommand that have no value."""


def arguments_of(argv: Sequence[str]) -> Sequence[str]:
    """Return the arguments of `celery` in a command line, even if a launcher runs it; empty if it is not Celery's."""
    launched = [argv[at + 1 :] for at, word in enumerate(argv[:3]) if word.endswith(f"/{LAUNCHER}")]
    if launched:
        return launched[0]
    title = TITLE.fullmatch(argv[0]) if len(argv) == 1 else None
    return (title["worker"] or title["beat"] or "").split() if title else celery_arguments(argv)


def subcommand(arguments: Sequence[str]) -> str:
    """Return `worker`, `beat` or another subcommand of `celery`; empty if `arguments` have none."""
    has_value = False
    for word in arguments:
        if has_value:
            has_value = False
        elif not word.startswith("-"):
            return word
        else:
            has_value = word not in FLAGS and "=" not in word and (word.startswith("--") or len(word) == 2)
    return ""


def option(arguments: Sequence[str], short: str, long: str) -> str | None:
    """Return the value of an option in `arguments`; None if it is not set."""
    for number, word in enumerate(arguments):
        if word in (short, long):
            return arguments[number + 1] if number + 1 < len(arguments) else None
        if word.startswith(f"{long}="):
            return word.removeprefix(f"{long}=")
        if word.startswith(short) and not word.startswith("--"):
            return word.removeprefix(short)
    return None


def celery_arguments(argv: Sequence[str]) -> Sequence[str]:
    """Return the words after the `celery` command in `argv`: a script of Python, `python -m celery`, or `celery`."""
    for number, word in enumerate(argv[:4]):
        if word.rpartition("/")[2] == CELERY or word.endswith(MODULES):
            return argv[number + 1 :]
    return ()
