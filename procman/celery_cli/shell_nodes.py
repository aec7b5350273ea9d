"""The commands and blocks of a shell script, as records."""

from __future__ import annotations

import re
from dataclasses import dataclass

from procman.celery_cli.shell_words import Token


@dataclass(frozen=True)
class Node:
    """A part of a script, with the line where it begins."""

    line: int
    source: str

    @property
    def first_line(self) -> str:
        """Its source for a message: of a block, the condition."""
        return re.sub(r"\s*;?\s*(?:then|do)?\Z", "", self.source.split("\n")[0].split("; then")[0].split("; do")[0])


@dataclass(frozen=True)
class Command(Node):
    """A simple command: its words, and its redirections as they are written."""

    words: tuple[Token, ...]
    redirections: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chain(Node):
    """Commands that depend on each other: pairs of `&&` or `||` (empty for the first) and a command."""

    links: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Not(Node):
    """`! COMMAND`."""

    command: Node


@dataclass(frozen=True)
class Group(Node):
    """`{ ...; }`."""

    body: tuple[Node, ...]


@dataclass(frozen=True)
class If(Node):
    """Pairs of a condition and what it guards; `else` has an empty condition."""

    branches: tuple[tuple[tuple[Node, ...], tuple[Node, ...]], ...]


@dataclass(frozen=True)
class Case(Node):
    """A word, and pairs of patterns and what they guard."""

    word: Token
    branches: tuple[tuple[tuple[Token, ...], tuple[Node, ...]], ...]


@dataclass(frozen=True)
class Function(Node):
    """The definition of a function."""

    name: str
    body: Node


@dataclass(frozen=True)
class Opaque(Node):
    """What only a shell can evaluate: a loop, a subshell, a pipeline, a command in the background, an error."""
