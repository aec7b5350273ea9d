"""Choose names for imported projects and programs, which the loader accepts (pure)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import dropwhile
from pathlib import Path

from procman.config.cross_checks import LONGEST_NAME
from procman.init.draft import keys_of
from procman.init.importing.existing import Existing
from procman.init.importing.projects import difference

GENERIC = {
    *("app", "background", "beat", "celery", "celerybeat", "celeryd", "cron", "default", "main", "queue", "queues"),
    *("scheduler", "service", "task", "tasks", "worker", "workers"),
}
"""Words at the end of a program's name that describe what it does, and not the project it belongs to."""

OF_SCRIPTS = {"bin", "docker", "entrypoint", "exec", "run", "script", "start"}
"""Words at the beginning of a script's name that describe what it does."""

LONGEST_PREFIX = 40
"""Characters of a project's name that leave room for the names of its programs."""

TAKEN = ("celery-beat", "health")
"""Keys whose names, NAME-KEY, procman gives to its own programs."""


def slug(text: str) -> str:
    """Return `text` as procman writes names: lowercase letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def project_name(programs: Sequence[str]) -> str | None:
    """Return the words with which the names of all programs begin, without generic ones at the end; None if none."""
    each = [slug(name).split("-") for name in programs]
    if not each:
        return None
    words = list(dropwhile(OF_SCRIPTS.__contains__, _common(each)))
    while words and words[-1] in GENERIC:
        words.pop()
    if len(each) == 1 and words and words[-1] == each[0][-1]:
        # The whole name of the only program: the rest of it is unknown.
        return None
    name = "-".join(words)
    return name if len(name) <= LONGEST_PREFIX and _is_valid(name) else None


def free_project_name(programs: Sequence[Existing], first: Sequence[Existing], taken: Sequence[str]) -> str | None:
    """Return a name for the project of `programs` that no other has: their own, or one for what makes it another.

    `first` are the programs of the first project, and `taken` the names of all so far; without any, None means that the
    programs have no common name.
    """
    own = project_name([each.name for each in programs])
    if not taken or (own and own not in taken):
        return own
    key, value = difference(first, programs)
    is_module = key in ("app", "settings")
    word = slug(value.partition(".")[0] if is_module else Path(value).name) or str(len(taken) + 1)
    base = taken[0] or "project"
    candidates = (*((word,) if is_module else ()), f"{base}-{word}", f"{base}-{len(taken) + 1}")
    return next((each for each in candidates if each not in taken and _is_valid(each)), None)


def _is_valid(name: str) -> bool:
    return keys_of("project")["name"].type.problem(name, Path("/")) is None


def _common(each: Sequence[Sequence[str]]) -> Iterator[str]:
    for words in zip(*each, strict=False):
        if len(set(words)) > 1:
            return
        yield words[0]


def program_key(name: str, project: str, taken: Collection[str], instances: int = 1) -> str:
    """Return the key of the program called `name`: NAME-KEY is new, and at most 63 characters long with its number."""
    key = slug(name)
    key = key.removeprefix(f"{project}-") if key != project else "worker"
    if not re.match("[a-z]", key):
        key = f"worker-{key}".rstrip("-")
    room = LONGEST_NAME - len(f"{project}-") - (len(f"-{instances}") if instances > 1 else 0)
    wanted = f"{key}-worker" if key in TAKEN else key
    candidates = (wanted, *(f"{wanted}-{number}" for number in range(2, 1000)))
    fitting = (_shortened(each, room) for each in candidates)
    return next(each for each in fitting if each not in taken)


def _shortened(key: str, room: int) -> str:
    """Return `key` in at most `room` characters: without its middle, because both ends tell programs apart."""
    if len(key) <= room:
        return key
    tail = key[-(room // 2) :]
    return re.sub("-+", "-", f"{key[: room - len(tail) - 1]}-{tail}").strip("-")
