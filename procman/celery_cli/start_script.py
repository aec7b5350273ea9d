"""Reads the start script of a Celery program: simple assignments, cd, activate, export, and the command it ends in.

It is no shell. What it does not understand it says, so that a person looks there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LONGEST_SCRIPT = 65_536
HARMLESS = {"echo", "printf", "set", "shopt", "true", ":", "date", "whoami", "id", "hash", "sleep"}
CONTROL = {"if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function", "["}
ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
NAME = r"[A-Za-z_][A-Za-z0-9_]*"

TOKEN = re.compile(
    rf"""
      (?P<blank>[ \t]+)
    | (?P<end>\n|;|&&)
    | (?P<single>'[^']*')
    | (?P<double>"(?:\\.|[^"\\])*")
    | (?P<escaped>\\.)
    | (?P<variable>\$(?:{NAME}|\{{{NAME}\}}))
    | (?P<redirection>(?<!\S)[0-9]*(?:>>?|<)[ \t]*(?:&[0-9]|[A-Za-z0-9_./$-]+)(?=[\s;]|\Z))
    | (?P<plain>[^\s'"\\$`*?\[{{~|<>&();]+)
    | (?P<other>.)
    """,
    re.DOTALL | re.VERBOSE,
)
IN_DOUBLE_QUOTES = re.compile(rf"\\(?P<escaped>[\"\\$`\n])|(?P<variable>\$(?:{NAME}|\{{{NAME}\}}))|(?P<other>[$`])")


class NotSimple(Exception):
    """Something that only a shell can work out; the text says what."""


@dataclass
class StartScript:
    """What a start script does, as far as it was understood."""

    directory: Path
    words: tuple[str, ...] = ()
    """The command it ends in; empty if none was found."""
    virtualenv: Path | None = None
    variables: dict[str, str] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    umask: str | None = None
    uses_exec: bool = False
    redirections: list[str] = field(default_factory=list)
    """Of the command: `2>&1`."""
    not_understood: list[str] = field(default_factory=list)
    """Lines to look at, as `line 7: ...`."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the command gets from the script."""
        return {name: value for name, value in self.variables.items() if name in self.exported}


@dataclass
class Statement:
    """One command of the script, with what it is made of: (kind, text), the kinds being those of TOKEN."""

    line: int
    source: str = ""
    tokens: list[tuple[str, str]] = field(default_factory=list)


def read_script(text: str, directory: Path, environment: Mapping[str, str]) -> StartScript:
    """Read the TEXT of a script that is started in DIRECTORY with ENVIRONMENT, up to the Celery command."""
    script = StartScript(directory, variables=dict(environment), exported=set(environment))
    for statement in _statements(text[:LONGEST_SCRIPT]):
        try:
            _follow(script, statement)
        except NotSimple as reason:
            script.not_understood.append(f"line {statement.line}: {reason}")
        if script.words:
            break
    return script


def _statements(text: str) -> Iterator[Statement]:
    statement, at = Statement(1), 0
    while at < len(text):
        at_word = not statement.tokens or statement.tokens[-1][0] == "blank"
        if at_word and text[at] == "#":
            at = (text + "\n").find("\n", at)
            continue
        found = TOKEN.match(text, at)
        assert found  # `other` takes anything
        at, kind = found.end(), str(found.lastgroup)
        if kind == "end":
            yield from _finished(statement)
            statement = Statement(text.count("\n", 0, at) + 1)
        elif found[0] != "\\\n":
            statement.tokens.append((kind, found[0]))
            statement.source += found[0]
    yield from _finished(statement)


def _finished(statement: Statement) -> Iterator[Statement]:
    statement.source = statement.source.strip()
    if statement.source:
        yield statement


def _follow(script: StartScript, statement: Statement) -> None:
    first = statement.source.split(maxsplit=1)[0]
    if first in CONTROL:
        raise NotSimple(f"`{statement.source}`: which way it goes is not known here")
    if first in HARMLESS:
        return
    assigned, words = _words(script, statement)
    for name, value in assigned:
        script.variables[name] = value
        if words:
            script.exported.add(name)
    if words:
        _do(script, statement, words[0], words[1:])


def _do(script: StartScript, statement: Statement, command: str, words: list[str]) -> None:
    if command == "cd" and words:
        script.directory = script.directory / words[-1]
    elif command in ("source", ".") and words:
        _source(script, Path(words[0]))
    elif command == "export":
        _export(script, words)
    elif command == "umask" and words:
        script.umask = words[0]
    elif any(Path(word).name == "celery" for word in (command, *words)):
        script.uses_exec = command == "exec"
        script.words = tuple(words) if command == "exec" else (command, *words)
        script.redirections = [text for kind, text in statement.tokens if kind == "redirection"]
    else:
        raise NotSimple(f"`{statement.source}` is left out")


def _source(script: StartScript, path: Path) -> None:
    if path.name != "activate" or path.parent.name != "bin":
        raise NotSimple(f"it reads {path}, and what that sets is not known here")
    script.virtualenv = (script.directory / path).parent.parent


def _export(script: StartScript, words: list[str]) -> None:
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            script.variables[name] = value
        script.exported.add(name)


def _words(script: StartScript, statement: Statement) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the assignments that STATEMENT begins with, and its words as a shell would make them."""
    assigned: list[tuple[str, str]] = []
    words: list[str] = []
    for tokens in _by_word(statement):
        # Only a name that is not quoted, and not the value of a variable either, is assigned to.
        kind, text = tokens[0]
        is_assignment = not words and kind == "plain" and ASSIGNMENT.match(text) is not None
        pieces = [_piece(script, statement, token, in_value=is_assignment) for token in tokens]
        if is_assignment:
            name, _, value = "".join(pieces).partition("=")
            assigned.append((name, value))
        elif any(pieces) or any(kind != "variable" for kind, _ in tokens):
            # Without quotes an empty value is no word.
            words.append("".join(pieces))
    return assigned, words


def _by_word(statement: Statement) -> Iterator[list[tuple[str, str]]]:
    word: list[tuple[str, str]] = []
    for token in [*statement.tokens, ("blank", " ")]:
        if token[0] not in ("blank", "redirection"):
            word.append(token)
        elif word:
            yield word
            word = []


def _piece(script: StartScript, statement: Statement, token: tuple[str, str], *, in_value: bool) -> str:
    match token:
        case "single", text:
            return text[1:-1]
        case "escaped", text:
            return text[1:]
        case "plain", text:
            return text
        case "double", text:
            return IN_DOUBLE_QUOTES.sub(lambda found: _quoted(script, statement, found), text[1:-1])
        case "variable", text:
            value = _value(script, text)
            if not in_value and re.search(r"[\s*?\[]", value):
                raise NotSimple(f"`{statement.source}`: {text} without quotes becomes several words")
            return value
        case _:
            raise NotSimple(f"`{statement.source}` needs a shell to work out")


def _quoted(script: StartScript, statement: Statement, found: re.Match[str]) -> str:
    if found["other"]:
        raise NotSimple(f"`{statement.source}` needs a shell to work out")
    if found["variable"]:
        return _value(script, found["variable"])
    return found["escaped"].strip("\n")


def _value(script: StartScript, variable: str) -> str:
    name = variable.strip("${}")
    # CATMAID's own script appends to PYTHONPATH, which nobody has set.
    value = script.variables.get(name, "" if name == "PYTHONPATH" else None)
    if value is None:
        raise NotSimple(f"{variable} is set somewhere else")
    return value
