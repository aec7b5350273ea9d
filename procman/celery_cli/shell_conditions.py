"""Evaluate the conditions of a shell script, `[ ... ]`, as far as its variables and arguments are known."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from procman.celery_cli.shell_expansion import Shell, known_value
from procman.celery_cli.shell_nodes import Chain, Command, Node, Not
from procman.celery_cli.shell_words import Part, Token

PLAIN_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")

NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": operator.eq,
    "-ne": operator.ne,
    "-lt": operator.lt,
    "-le": operator.le,
    "-gt": operator.gt,
    "-ge": operator.ge,
}

FILES: dict[str, Callable[[Path], bool]] = {
    "-e": Path.exists,
    "-f": Path.is_file,
    "-r": Path.exists,
    "-s": lambda path: path.exists() and path.stat().st_size > 0,
    "-d": Path.is_dir,
    "-L": Path.is_symlink,
    "-h": Path.is_symlink,
}


def holds(shell: Shell, nodes: Sequence[Node]) -> bool | None:
    """Return whether the condition `nodes` is true; None if only a shell can evaluate it. Changes nothing."""
    return _holds(shell, nodes[0]) if len(nodes) == 1 else None


def is_condition(node: Node) -> bool:
    """Return whether `node` is a test, which does nothing but be true or false."""
    first = node.words[0].text if isinstance(node, Command) and node.words else ""
    return first in ("[", "[[", "test", "true", "false", ":")


def matches(shell: Shell, text: str, pattern: Token) -> bool | None:
    """Return whether `text` matches the `pattern` of a case or of `[[ ... ]]`; None if it is unknown."""
    values = [_pattern(shell, part) for part in pattern.parts]
    return None if None in values else fnmatchcase(text, "".join(filter(None, values)))


def known_text(shell: Shell, word: Token) -> str | None:
    """Return `word` as one text; a variable that nothing sets counts as empty. None if it is unknown."""
    values = [_or_empty(shell, part) for part in word.parts]
    return None if None in values else "".join(filter(None, values))


def _holds(shell: Shell, node: Node) -> bool | None:
    match node:
        case Chain(links=links):
            return _chain(shell, links)
        case Not(command=command):
            outcome = _holds(shell, command)
            return None if outcome is None else not outcome
        case Command(words=(first, *words)) if is_condition(node):
            if first.text in ("true", "false", ":"):
                return first.text != "false"
            return _any(shell, words if first.text == "test" else words[:-1])
    return None


def _chain(shell: Shell, links: Sequence[tuple[str, Node]]) -> bool | None:
    outcome = _holds(shell, links[0][1])
    for link, node in links[1:]:
        if outcome is None:
            return None
        if outcome == (link == "&&"):
            outcome = _holds(shell, node)
    return outcome


def _any(shell: Shell, words: Sequence[Token]) -> bool | None:
    outcomes = [_all(shell, each) for each in _split(words, ("||", "-o"))]
    return True if True in outcomes else None if None in outcomes else False


def _all(shell: Shell, words: Sequence[Token]) -> bool | None:
    outcomes = [_one(shell, each) for each in _split(words, ("&&", "-a"))]
    return False if False in outcomes else None if None in outcomes else True


def _split(words: Sequence[Token], separators: Sequence[str]) -> list[list[Token]]:
    found: list[list[Token]] = [[]]
    for word in words:
        if word.text in separators:
            found.append([])
        else:
            found[-1].append(word)
    return found


def _one(shell: Shell, words: Sequence[Token]) -> bool | None:
    if any(word.kind != "word" for word in words) or not words:
        return None
    negations = next((at for at, word in enumerate(words) if word.text != "!"), 0)
    outcome = _plain(shell, words[negations:])
    return outcome if outcome is None or negations % 2 == 0 else not outcome


def _plain(shell: Shell, words: Sequence[Token]) -> bool | None:
    first = known_text(shell, words[0])
    if len(words) == 1:
        return None if first is None else bool(first)
    last = known_text(shell, words[-1])
    if len(words) == 2:
        return None if last is None else _unary(shell, words[0].text, last)
    if len(words) == 3 and first is not None:
        return _binary(shell, first, words[1].text, words[2])
    return None


def _unary(shell: Shell, option: str, value: str) -> bool | None:
    if option in ("-z", "-n"):
        return bool(value) == (option == "-n")
    try:
        return FILES[option](shell.directory / value) if option in FILES and shell.sees_files else None
    except (OSError, ValueError):
        return None


def _binary(shell: Shell, first: str, compared: str, word: Token) -> bool | None:
    if compared in ("=", "==", "!="):
        outcome = matches(shell, first, word)
        return None if outcome is None else outcome == (compared != "!=")
    second = known_text(shell, word)
    if compared in NUMBERS and second is not None and re.fullmatch(r"\d{1,9} \d{1,9}", f"{first} {second}"):
        return NUMBERS[compared](int(first), int(second))
    return None


def _pattern(shell: Shell, part: Part) -> str | None:
    if part.kind == "glob":
        return part.text
    value = _or_empty(shell, part)
    return None if value is None else re.sub(r"([*?\[])", r"[\1]", value) if part.quoted else value


def _or_empty(shell: Shell, part: Part) -> str | None:
    value = known_value(shell, part)
    found = PLAIN_VARIABLE.fullmatch(part.text) if value is None and part.kind == "variable" else None
    if found and found[1] not in shell.unknown_names:
        shell.assumed[part.text] = ""
        return ""
    return value
