"""Read the init in front of a container's command, such as tini, with its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from getopt import GetoptError, getopt
from pathlib import Path

INITS = ("tini", "tini-static", "docker-init", "dumb-init", "catatonit")

OPTIONS = {
    "dumb-init": ("hvVcr:", ["help", "verbose", "version", "single-child", "rewrite="]),
    "catatonit": ("hgLPV", []),
}
"""Of each init, as getopt(3) reads them; docker-init is tini."""
OF_TINI = ("p:hvwgle:s", ["version"])


def without_init(words: Sequence[str]) -> tuple[str, ...]:
    """Return the command behind every init at the front of `words`."""
    rest = tuple(words)
    while rest and Path(rest[0]).name in INITS:
        _, rest = _read(rest)
    return rest


def signals_group(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the init among `words` that signals the group or session; empty if there is none.

    Measured with dumb-init 1.2.5 and tini 0.19.
    """
    for at, word in enumerate(words[:4]):
        name = Path(word).name
        if name not in INITS:
            continue
        options, _ = _read(tuple(words[at:]))
        if name == "dumb-init":
            alone = {"-c", "--single-child"} & {*options} or environment.get("DUMB_INIT_SETSID", "1") == "0"
            return "" if alone else name
        if "-g" in options or (name != "catatonit" and "TINI_KILL_PROCESS_GROUP" in environment):
            return f"{name} -g"
    return ""


def _read(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options of the init that is the first of `words`, and the command behind it."""
    short, long = OPTIONS.get(Path(words[0]).name, OF_TINI)
    try:
        options, rest = getopt(list(words[1:]), short, long)
    except GetoptError:
        at = next((at for at, word in enumerate(words[1:], 1) if word == "--" or not word.startswith("-")), len(words))
        return words[1:at], words[at + 1 :] if words[at : at + 1] == ("--",) else words[at:]
    return tuple(name for name, _ in options), tuple(rest)
