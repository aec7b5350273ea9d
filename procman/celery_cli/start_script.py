"""Read the start script of a Celery program: simple assignments, cd, activate, export, and the final command.

This is not a shell. Lines that it does not understand are reported, so that a person can check them.
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
    """A line that only a shell can evaluate; the message names it."""


@dataclass
class StartScript:
    """The understood part of a start script."""

    directory: Path
    words: tuple[str, ...] = ()
    """The final command; empty if none was found."""
    virtualenv: Path | None = None
    variables: dict[str, str] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    umask: str | None = None
    uses_exec: bool = False
    redirections: list[str] = field(default_factory=list)
    """Redirections of the command, such as `2>&1`."""
    not_understood: list[str] = field(default_factory=list)
    """Messages about lines to check, such as `line 7: ...`."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the script passes to the command."""
        return {name: value for name, value in self.variables.items() if name in self.exported}


@dataclass
class Statement:
    """One command of the script with its tokens: (kind, text), with the kinds of TOKEN."""

    line: int
    source: str = ""
    tokens: list[tuple[str, str]] = field(default_factory=list)


def read_script(text: str, directory: Path, environment: Mapping[str, str]) -> StartScript:
    """Read the `text` of a script that is started in `directory` with `environment`, up to the Celery command."""
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
    statement, at, line = Statement(1), 0, 1
    while at < len(text):
        at_word = not statement.tokens or statement.tokens[-1][0] == "blank"
        if at_word and text[at] == "#":
            at = (text + "\n").find("\n", at)
            continue
        found = TOKEN.match(text, at)
        assert found  # `other` matches anything
        line += found[0].count("\n")
        at, kind = found.end(), str(found.lastgroup)
        if kind == "end":
            yield from _finished(statement)
            statement = Statement(line)
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
        raise NotSimple(f"`{statement.source}`: its outcome is unknown")
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
        raise NotSimple(f"`{statement.source}` is ignored")


def _source(script: StartScript, path: Path) -> None:
    if path.name != "activate" or path.parent.name != "bin":
        raise NotSimple(f"it reads {path}, which may set unknown variables")
    script.virtualenv = (script.directory / path).parent.parent


def _export(script: StartScript, words: list[str]) -> None:
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            script.variables[name] = value
        script.exported.add(name)


def _words(script: StartScript, statement: Statement) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the assignments at the start of `statement`, and its words as a shell would expand them."""
    assigned: list[tuple[str, str]] = []
    words: list[str] = []
    for tokens in _by_word(statement):
        # A word is an assignment only if its name is neither quoted nor the value of a variable.
        kind, text = tokens[0]
        is_assignment = not words and kind == "plain" and ASSIGNMENT.match(text) is not None
        pieces = [_piece(script, statement, token, in_value=is_assignment) for token in tokens]
        if is_assignment:
            name, _, value = "".join(pieces).partition("=")
            assigned.append((name, value))
        elif any(pieces) or any(kind != "variable" for kind, _ in tokens):
            # Without quotes, an empty value is not a word.
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
            raise NotSimple(f"`{statement.source}` needs a shell to evaluate")


def _quoted(script: StartScript, statement: Statement, found: re.Match[str]) -> str:
    if found["other"]:
        raise NotSimple(f"`{statement.source}` needs a shell to evaluate")
    if found["variable"]:
        return _value(script, found["variable"])
    return found["escaped"].strip("\n")


def _value(script: StartScript, variable: str) -> str:
    name = variable.strip("${}")
    # CATMAID's own script appends to PYTHONPATH, which is usually not set.
    value = script.variables.get(name, "" if name == "PYTHONPATH" else None)
    if value is None:
        raise NotSimple(f"{variable} is not set in this script")
    return value
