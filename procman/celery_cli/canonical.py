"""Write Celery command lines in one way, so that `-Q a` equals `--queues=a`, whoever wrote them.

procman.toml plays no part in it: an option that the import loses is still in the old command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from procman.agent.variable_rules import FORBIDDEN_OPTIONS
from procman.celery_cli.parse import CONVERSIONS, options_in
from procman.celery_cli.write import BEAT_KEYS, WORKER_KEYS, options_of_key
from procman.model import Kind

OTHER_NAMES = {
    "-C": "--no-color",
    "-I": "--include",
    "-q": "--quiet",
    "-s": "--schedule",
    "--schedule-filename": "--schedule",
}
"""Second names of options that have no key."""

SETTINGS = "settings after --"
"""The name under which the words behind `--` are kept."""


class CanonicalCommand(NamedTuple):
    """The worker or beat of a command line."""

    kind: Kind
    options: Mapping[str, str]
    """The value of each option by its long name; empty for a flag. The last one of several counts, as in Celery."""


def canonical(words: Sequence[str]) -> CanonicalCommand | None:
    """Return what `words` start, of which one is `celery`; None if that is no worker or beat."""
    at = next((index + 1 for index, word in enumerate(words) if Path(word).name == "celery"), len(words))
    settings = words.index("--", at) if "--" in words[at:] else len(words)
    found = list(options_in(words[at:settings]))
    kind = next((value for name, value in found if not name), "")
    if kind not in (Kind.WORKER.value, Kind.BEAT.value):
        return None
    options = dict(_option(name, value, Kind(kind)) for name, value in found if name)
    if not options.get("--pidfile"):
        # Without a value, it keeps the beat of Celery 4.4 from writing the file that later versions write no more.
        options.pop("--pidfile", None)
    if words[settings + 1 :]:
        options[SETTINGS] = " ".join(words[settings + 1 :])
    return CanonicalCommand(Kind(kind), options)


def _option(name: str, value: str, kind: Kind) -> tuple[str, str]:
    key = (WORKER_KEYS if kind is Kind.WORKER else BEAT_KEYS).get(name)
    return long_name(name, kind), _value(key, value) if key else value


def long_name(name: str, kind: Kind) -> str:
    """Return the longest of the names that an option of `celery worker` or `celery beat` has."""
    key = (WORKER_KEYS if kind is Kind.WORKER else BEAT_KEYS).get(name)
    if key:
        return max(options_of_key(key, kind), key=len)
    same = next((names for names in FORBIDDEN_OPTIONS.values() if name in names[:2] and "-h" not in names), ())
    if same:
        return same[1] if len(same) > 1 else same[0]
    return "--statedb" if (name, kind) == ("-S", Kind.WORKER) else OTHER_NAMES.get(name, name)


def _value(key: str, text: str) -> str:
    try:
        value = CONVERSIONS.get(key, str)(text)
    except ValueError:
        return text
    match value:
        case True:
            return ""
        case list():
            return ",".join(map(str, value))
        case _:
            return str(value)
