"""What is known of a start script while it is followed, and what a person has to check."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from procman.celery_cli.shell_expansion import Shell, shown, text_of
from procman.celery_cli.shell_nodes import Command, Node
from procman.celery_cli.shell_words import Token
from procman.secrets import is_secret

SUBCOMMANDS = {"worker", "beat", "multi"}


class Unread(NamedTuple):
    """Something in a script that is not understood, or only by an assumption."""

    file: Path | None
    """Another file than the script, which reads it."""
    line: int
    what: str
    consequence: str
    is_assumed: bool = False
    """Whether it is imported, but may have another value in the running program."""

    def __str__(self) -> str:
        return f"line {self.line}: `{self.what}`: {self.consequence}"


@dataclass
class StartScript(Shell):
    """The understood part of a start script."""

    words: tuple[str, ...] = ()
    """The final command; empty if none was found."""
    line: int = 0
    """The line of the final command."""
    virtualenv: Path | None = None
    umask: str | None = None
    uses_exec: bool = False
    redirections: list[str] = field(default_factory=list)
    """Redirections of the command, such as `2>&1`."""
    not_understood: list[Unread] = field(default_factory=list)
    """What a person should check."""
    set_in: dict[str, Path] = field(default_factory=dict)
    """The variables that were set last by a file which the script reads, and that file."""
    last: tuple[str, ...] = ()
    """The command that is the last of `not_understood`, which may be another script."""
    undecided: str = ""
    """The condition that decides whether Celery is started, if it is unknown."""

    file: Path | None = None
    """The file that is being read, if it is not the script itself."""
    read_text: Callable[[Path], str] = field(default=lambda _: "", repr=False)
    follow: Callable[[StartScript, str], None] = field(default=lambda _, __: None, repr=False)
    """Follows the text of a file that the script reads."""
    functions: dict[str, Node] = field(default_factory=dict, repr=False)
    exports_all: bool = False
    is_over: bool = False
    returns: bool = False
    """Whether the function or file that is being followed is over."""
    files: int = 0
    commands: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the script passes to the command."""
        return {name: value for name, value in self.variables.items() if name in self.exported}


def report(script: StartScript, node: Node, consequence: str, *, is_assumed: bool = False) -> None:
    """Record that `node` is not understood, with the consequence."""
    script.last = ()
    script.not_understood.append(Unread(script.file, node.line, shown(node.first_line), consequence, is_assumed))


def undecided(script: StartScript, node: Node, consequence: str) -> None:
    """Record that only a shell knows whether `node` is run."""
    report(script, node, consequence)
    if _mentions_celery(node):
        script.undecided = script.undecided or shown(node.first_line)


def _mentions_celery(node: Node) -> bool:
    words = set(re.findall(r"[\w-]+", node.source))
    return "celery" in words and bool(words & SUBCOMMANDS)


def note_assumed(script: StartScript, node: Node) -> None:
    """Record which values in `node` count only because nothing sets their variable."""
    for text, value in script.assumed.items():
        is_default = re.search(r"[-=+]", text)
        known = "***" if is_secret(re.sub(r"\W.*", "", text[2:], flags=re.DOTALL), value) else repr(value)
        consequence = f"{shown(text)} is {known} here" if is_default and value else f"{text} is empty here"
        report(script, node, f"{consequence}, because nothing sets this variable", is_assumed=True)
    script.assumed.clear()


def assign(script: StartScript, node: Command, name: str, word: Token, *, exports: bool = False) -> None:
    """Follow an assignment; its variable is unknown if the value is."""
    script.unknown.clear()
    _, _, value = text_of(script, word).partition("=")
    if "+=" in word.text.partition("=")[0] + "=":
        value = script.variables.get(name, "") + value
    if script.unknown:
        report(script, node, f"{because(script)}; the variable {name} is not imported")
        script.unknown.clear()
        script.variables.pop(name, None)
        script.unknown_names.add(name)
        return
    note_assumed(script, node)
    set_variable(script, name, value, exports=exports)


def because(script: StartScript) -> str:
    """Return why the last expansion is unknown."""
    unset = [text for text in script.unknown if re.fullmatch(r"\$\{?[A-Za-z_]\w*\}?", text)]
    unset = [text for text in unset if text.strip("${}") not in script.unknown_names]
    if unset:
        return f"{unset[0]} is not set here"
    return f"only a shell can evaluate {script.unknown[0]}"


def set_variable(script: StartScript, name: str, value: str, *, exports: bool = False) -> None:
    """Set a variable of the script."""
    script.variables[name] = value
    script.unknown_names.discard(name)
    script.set_in.pop(name, None)
    if script.file:
        script.set_in[name] = script.file
    if exports or script.exports_all:
        script.exported.add(name)
