"""Expand the words of a shell script from the variables and arguments that are known, without running anything."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from procman.celery_cli.shell_nodes import Chain, Command, Node
from procman.celery_cli.shell_syntax import read_nodes
from procman.celery_cli.shell_words import Part, Reader, SyntaxProblem, Token
from procman.secrets import is_secret, masked

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
ASSIGNMENT = re.compile(rf"({NAME})(\+?)=")
PARAMETER = re.compile(rf"({NAME}|[0-9]+|[@*#?$!-])(?:(:?[-=+?])(.*))?", re.DOTALL)
DEFAULT = re.compile(rf"\$\{{({NAME})(:?[-=+])([^{{}}]*)\}}")
ITSELF = ("$BASH_SOURCE", "${BASH_SOURCE}", "${BASH_SOURCE[0]}")
EMPTY_IF_UNSET = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
"""Start scripts add to these, which a process manager usually does not set."""

MOST_EXPANDED = 1 << 21
"""Characters of all values in one script, which could otherwise double with every line."""

DEEPEST = 5
"""Substitutions and default values inside each other."""


@dataclass
class Shell:
    """What a shell knows while it runs a script."""

    directory: Path
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    exported: set[str] = field(default_factory=set)
    name: str = ""
    """`$0`."""
    arguments: tuple[str, ...] = ()
    unknown_names: set[str] = field(default_factory=set)
    """Variables that are set to something only a shell can evaluate."""
    unknown: list[str] = field(default_factory=list)
    """The texts that expansions left as they are, because only a shell can evaluate them: `$(nproc)`."""
    assumed: dict[str, str] = field(default_factory=dict, repr=False)
    """Expansions of variables that nothing sets here, and what they became: `${N:-2}` is 2."""
    sees_files: bool = True
    """Whether the files of this host are those of the script."""
    depth: int = 0
    expanded: list[int] = field(default_factory=lambda: [0])
    """The characters of all values so far; shared with what runs inside."""

    @property
    def is_spent(self) -> bool:
        """Whether the values of the script are more than any real script has."""
        return self.expanded[0] > MOST_EXPANDED

    def spend(self, value: str | None) -> str | None:
        """Return `value`, or None if it is too much."""
        self.expanded[0] += len(value or "")
        return None if self.is_spent else value

    def value(self, name: str) -> str | None:
        """Return the value of a variable or parameter; None if it is not set."""
        if name == "0":
            return self.name
        if name == "#":
            return str(len(self.arguments))
        if name in ("@", "*"):
            return " ".join(self.arguments)
        if name == "PWD":
            return str(self.directory)
        if name.isdecimal():
            return self.arguments[int(name) - 1] if 0 < int(name[:6]) <= len(self.arguments) else ""
        return self.variables.get(name, "" if name in EMPTY_IF_UNSET and name not in self.unknown_names else None)


def shown(text: str) -> str:
    """Return a part of a script for a message: without passwords, also in `${DB_PASSWORD:-hunter22}` (S2)."""
    return masked(DEFAULT.sub(_without_secret, text))


def _without_secret(found: re.Match[str]) -> str:
    return f"${{{found[1]}{found[2]}***}}" if is_secret(found[1], found[3]) else found[0]


def assignment_in(word: Token) -> str:
    """Return the name of the variable that `word` sets; empty if it is no assignment."""
    kind, text, quoted = word.parts[0] if word.parts else Part("special", "")
    found = ASSIGNMENT.match(text) if kind == "text" and not quoted else None
    return found[1] if found else ""


def text_of(shell: Shell, word: Token) -> str:
    """Return `word` as one text, as in an assignment or a test."""
    return "".join(_text(shell, part) for part in word.parts)


def fields_of(shell: Shell, word: Token) -> list[str]:
    """Return what becomes of `word` in a command: none, one or several words."""
    if word.text in ("[", "[[", "{", "}"):
        return [word.text]
    fields = _Fields()
    for part in word.parts:
        if part.text in ("$@", "${@}") and part.kind == "variable" and part.quoted:
            fields.add_each(shell.arguments if known_value(shell, part) is not None else [_text(shell, part)])
        elif part.kind in ("text", "glob", "special") or part.quoted:
            fields.add(_text(shell, part))
        else:
            _add_split(shell, fields, part)
    return fields.done


def _add_split(shell: Shell, fields: _Fields, part: Part) -> None:
    value = known_value(shell, part)
    if value is None or re.search(r"[*?\[]", value):
        shell.unknown.append(part.text)
        fields.add(part.text)
    elif re.search("['\"]", part.text):
        # A default value in quotes.
        fields.add(value)
    else:
        fields.split(value)


@dataclass
class _Fields:
    done: list[str] = field(default_factory=list)
    is_open: bool = False

    def add(self, text: str) -> None:
        if self.is_open:
            self.done[-1] += text
        else:
            self.done.append(text)
        self.is_open = True

    def add_each(self, texts: Sequence[str]) -> None:
        for at, text in enumerate(texts):
            self.is_open = self.is_open and at == 0
            self.add(text)

    def split(self, text: str) -> None:
        blanks = tuple(" \t\n")
        self.is_open = self.is_open and not text.startswith(blanks)
        self.add_each([word for word in re.split(r"[ \t\n]+", text) if word])
        self.is_open = self.is_open and not text.endswith(blanks)


def _text(shell: Shell, part: Part) -> str:
    value = known_value(shell, part)
    if value is None:
        shell.unknown.append(part.text)
    return part.text if value is None else value


def known_value(shell: Shell, part: Part) -> str | None:
    """Return what becomes of `part`; None if only a shell can evaluate it."""
    match part.kind:
        case "text":
            return part.text
        case "variable":
            return None if shell.is_spent else shell.spend(_parameter(shell, part.text))
        case "substitution":
            return _output(shell, part.text)
    return shell.value("HOME") if part.text == "~" else None


def _parameter(shell: Shell, text: str) -> str | None:
    if text in ITSELF:
        return shell.name
    found = PARAMETER.fullmatch(text[2:-1] if text.startswith("${") else text[1:])
    if not found or found[1] in ("?", "$", "!", "-") or found[1] in shell.unknown_names:
        return None
    value, operator = shell.value(found[1]), found[2] or ""
    if not operator or operator[-1] == "?":
        return value
    is_missing = value is None or (not value and operator[0] == ":")
    if is_missing == (operator[-1] == "+"):
        return "" if is_missing else value
    other = _default(shell, found[3])
    if value is None and other is not None:
        shell.assumed[text] = other
    return other


def _default(shell: Shell, text: str) -> str | None:
    if shell.depth >= DEEPEST:
        return None
    try:
        parts = list(Reader(text).parts())
    except SyntaxProblem:
        return None
    inner = replace(shell, depth=shell.depth + 1)
    values = [known_value(inner, part) for part in parts]
    return None if None in values else "".join(filter(None, values))


def _output(shell: Shell, text: str) -> str | None:
    """Return the output of the substitution `text`; None if only a shell can evaluate it."""
    inside = text[2:-1] if text.startswith("$(") else re.sub(r"\\([\\`$])", r"\1", text[1:-1])
    if shell.depth >= DEEPEST or inside.startswith("("):
        return None
    inner = replace(shell, depth=shell.depth + 1, unknown=[])
    found = _last_output(inner, list(read_nodes(inside)))
    return None if inner.unknown else found


def _last_output(shell: Shell, nodes: Sequence[Node]) -> str | None:
    if len(nodes) == 1 and isinstance(nodes[0], Chain):
        nodes = [each for _, each in nodes[0].links if each.source != "exit 1"]
    for node in nodes:
        if not isinstance(node, Command) or [each for each in node.redirections if "/dev/null" not in each]:
            return None
        words = [field for word in node.words for field in fields_of(shell, word)]
        if words[:1] == ["cd"] and len(words) > 1 and node is not nodes[-1]:
            shell.directory = shell.directory / words[-1]
        elif node is nodes[-1] and words and words[0] in OUTPUTS:
            return OUTPUTS[words[0]](shell, [word for word in words[1:] if not word.startswith("-")])
        else:
            return None
    return None


def _path(shell: Shell, words: Sequence[str]) -> str:
    return os.path.normpath(shell.directory / words[-1]) if words else ""


OUTPUTS: dict[str, Callable[[Shell, Sequence[str]], str]] = {
    "pwd": lambda shell, _: os.path.normpath(shell.directory),
    "echo": lambda _, words: " ".join(words),
    "dirname": lambda _, words: str(Path(words[-1]).parent) if words else "",
    "basename": lambda _, words: Path(words[0]).name if len(words) == 1 else "",
    "realpath": _path,
    "readlink": _path,
    "which": lambda _, words: words[-1] if words else "",
    "command": lambda _, words: words[-1] if words else "",
}
"""What commands print that depend only on their words."""
