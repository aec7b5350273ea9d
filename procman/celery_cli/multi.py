"""Expand a command line of `celery multi` into its nodes, as celery.apps.multi of Celery 5.7 does."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESERVED = ("--nosplash", "--quiet", "-q", "--verbose", "--no-color")
OF_CELERY = ("-A", "--app", "-b", "--broker", "--result-backend", "--loader", "--config", "--workdir")
"""Options that come before `worker`."""
STARTING = ("start", "restart")
MOST_NODES = 200


class MultiProblem(ValueError):
    """A command line that `celery multi` would refuse."""


@dataclass(frozen=True)
class Node:
    """One worker of a cluster."""

    name: str
    """Without its host, as in `-c:NAME`."""
    words: tuple[str, ...]
    """The command line of its worker; the host of its node name is %h, if the cluster does not name it."""


@dataclass
class _Options:
    """celery.apps.multi.NamespacedOptionParser: options for all nodes, and for each one."""

    names: list[str] = field(default_factory=list)
    shared: dict[str, str | None] = field(default_factory=dict)
    spaces: dict[str, dict[str, str | None]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)
    """What follows `--`, with it."""


def multi_at(words: Sequence[str]) -> int | None:
    """Return the index of `multi` in a command line of Celery; None if it does not run `celery multi`."""
    celery = next((index for index, word in enumerate(words) if Path(word).name == "celery"), None)
    if celery is None or "multi" not in words[celery + 1 :]:
        return None
    at = words.index("multi", celery + 1)
    return None if {"worker", "beat"} & set(words[celery + 1 : at]) else at


def nodes_of(words: Sequence[str]) -> list[Node]:
    """Return the workers that the command line `words` of `celery multi` starts; none if it is `stop` or the like.

    Raises MultiProblem if Celery refuses it.
    """
    at = multi_at(words)
    if at is None:
        return []
    celery = next(index for index, word in enumerate(words) if Path(word).name == "celery")
    # Celery 5 moves its own options behind those of multi.
    action, *arguments = [*words[at + 1 :], *words[celery + 1 : at]] or [""]
    if action not in STARTING:
        return []
    for reserved in RESERVED:
        if reserved in arguments:
            arguments.remove(reserved)
    return list(_nodes(tuple(words[: celery + 1]), _parsed(arguments)))


def _parsed(arguments: Sequence[str]) -> _Options:
    options = _Options()
    words = [word for word in arguments if word]
    while words:
        word = words.pop(0)
        if word == "--":
            options.rest, words = [word, *words], []
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            _add(options, name, value if equals else None)
        elif word.startswith("-"):
            _add(options, word, words.pop(0) if words and not words[0].startswith("-") else None)
        else:
            options.names.append(word)
    return options


def _add(options: _Options, option: str, value: str | None) -> None:
    name, *spaces = option.split(":")
    if len(spaces) > 1:
        raise MultiProblem(f"{option} has more than one colon")
    (options.spaces.setdefault(spaces[0], {}) if spaces else options.shared)[name] = value


def _nodes(celery: tuple[str, ...], options: _Options) -> Iterator[Node]:
    shared = dict(options.shared)
    host = shared.pop("--hostname", None) or shared.pop("-n", None) or "%h"
    shared.pop("-n", None)
    prefix, suffix = shared.pop("--prefix", None) or "", shared.pop("--suffix", None) or host
    suffix = "" if suffix in ('""', "''") else suffix
    range_prefix = shared.pop("--range-prefix", None) or "celery"
    command, append = shared.pop("--cmd", None), shared.pop("--append", None)
    if command and "worker" not in command.split():
        raise MultiProblem(f"--cmd={command} starts no worker")
    names, is_range = _names(options.names)
    spaces = _resolved(options.spaces, names, is_range=is_range)
    for given in names:
        name = given.partition("@")[0]
        full = given if "@" in given else f"{range_prefix if is_range else prefix}{name}@{suffix}"
        own = spaces.get(full if full in spaces else name, {})
        words = _words(celery, full, {**shared, **own})
        more = [_expanded(append, full)] if append else []
        short = full.partition("@")[0]
        yield Node(short, (*words, *options.rest, *(each for text in more for each in shlex.split(text))))


def _names(names: Sequence[str]) -> tuple[list[str], bool]:
    if len(names) == 1 and names[0].isdecimal():
        if int(names[0][:9]) > MOST_NODES:
            raise MultiProblem(f"more than {MOST_NODES} nodes")
        return [str(number) for number in range(1, int(names[0]) + 1)], True
    return list(names[:MOST_NODES]), False


def _resolved(
    spaces: Mapping[str, dict[str, str | None]], names: Sequence[str], *, is_range: bool
) -> dict[str, dict[str, str | None]]:
    """Return the options of each node: a number in `spaces` is the index of a name, 1-3 a range of numbers."""
    found = {name: dict(options) for name, options in spaces.items()}
    for step in (_by_index, _by_range) if is_range else (_by_range, _by_index):
        step(found, names, is_range)
    return found


def _by_range(found: dict[str, dict[str, str | None]], _: Sequence[str], is_range: bool) -> None:
    for name, options in list(found.items()):
        if "," in name or (is_range and "-" in name):
            for each in name.split(","):
                for node in _range(each) if is_range and "-" in each else [each]:
                    found.setdefault(node, {}).update(options)
            del found[name]


def _range(text: str) -> list[str]:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal()) or int(last[:9]) > MOST_NODES:
        raise MultiProblem(f"{text} is not a range of nodes")
    return [str(number) for number in range(int(first[:9]), int(last) + 1)]


def _by_index(found: dict[str, dict[str, str | None]], names: Sequence[str], _: bool) -> None:
    for name, options in list(found.items()):
        if name.isdecimal():
            if not 0 < int(name[:9]) <= len(names):
                raise MultiProblem(f"there is no node {name}")
            found.setdefault(names[int(name) - 1], {}).update(options)


def _words(celery: tuple[str, ...], node: str, options: Mapping[str, str | None]) -> list[str]:
    own = {name: value for name, value in options.items() if name in OF_CELERY}
    others = {"-n": node, **{name: value for name, value in options.items() if name not in own and name != "-n"}}
    before = [word for name, value in own.items() for word in _option(name, value, node)]
    after = [word for name, value in others.items() for word in _option(name, value, node)]
    return [*celery, *before, "worker", *after]


def _option(name: str, value: str | None, node: str) -> list[str]:
    if not value:
        return [name]
    value = value if name == "-n" else _expanded(value, node)
    text = f"{name}={value}" if name.startswith("--") else f"{name} {value}"
    try:
        # Celery joins all words and splits them again.
        return shlex.split(text)
    except ValueError:
        raise MultiProblem(f"{name} has a quote that is not closed") from None


def _expanded(text: str, node: str) -> str:
    """Return `text` with the name of the node: in multi, %h is the whole node name and %d the host."""
    name, _, host = node.partition("@")
    known = {"n": name, "N": name, "p": node, "h": node, "d": host, "i": "%i", "I": "%I", "%": "%"}
    pieces = text.split("%")
    done = [pieces.pop(0)]
    while pieces:
        piece = pieces.pop(0)
        if not piece and pieces:
            done.append(f"%{pieces.pop(0)}")
        else:
            done.append(known.get(piece[:1], f"%{piece[:1]}") + piece[1:])
    return "".join(done)
