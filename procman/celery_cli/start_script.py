"""Read the start script of a Celery program: assignments, cd, activate, export, conditions, and the final command.

This is not a shell: nothing is run. What it does not understand is reported, so that a person can check it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from procman.celery_cli.shell_conditions import holds, is_condition, known_text, matches
from procman.celery_cli.shell_expansion import Shell, assignment_in, fields_of, text_of
from procman.celery_cli.shell_syntax import Case, Chain, Command, Function, Group, If, Node, Not, Opaque, read_nodes
from procman.celery_cli.shell_words import Token
from procman.secrets import masked

LONGEST_SCRIPT = 65_536
MOST_FILES = 20
"""Files that one script may read with `source`."""
MOST_COMMANDS = 10_000

HARMLESS = {"echo", "printf", "shopt", "true", ":", "date", "whoami", "id", "hash", "sleep"}
DECLARATIONS = {"export", "declare", "typeset", "readonly", "local"}
SUBCOMMANDS = {"worker", "beat", "multi"}
VARIABLES_OF_FILE = re.compile(r"\$\((?:cat|grep)\s[^|()]*?([\w./-]+)\s*(?:\|[^()]*)?\)")
"""`export $(grep -v '^#' FILE | xargs)`, which exports the variables of FILE."""


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
    undecided: str = ""
    """The condition that decides whether Celery is started, if it is unknown."""

    file: Path | None = None
    """The file that is being read, if it is not the script itself."""
    read_text: Callable[[Path], str] = field(default=lambda _: "", repr=False)
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


def read_script(
    text: str,
    directory: Path,
    environment: Mapping[str, str],
    *,
    name: str = "",
    arguments: Sequence[str] = (),
    read_text: Callable[[Path], str] = lambda _: "",
    sees_files: bool = True,
) -> StartScript:
    """Read the `text` of a script that is started in `directory` with `environment`, up to the Celery command.

    `name` and `arguments` are its `$0` and `$1`, `$2` and so on. `read_text` returns the content of a file that it
    reads with `source`; an empty text means that it is unknown. Without `sees_files`, so are conditions about files.
    """
    script = StartScript(
        directory,
        dict(environment),
        set(environment),
        name,
        tuple(arguments),
        read_text=read_text,
        sees_files=sees_files,
    )
    _run_text(script, text)
    return script


def _run_text(script: StartScript, text: str) -> None:
    for node in read_nodes(text[:LONGEST_SCRIPT]):
        _run(script, node)
        if script.is_over or script.returns:
            break
    script.returns = False


def _run_all(script: StartScript, nodes: Sequence[Node]) -> bool:
    succeeded = True
    for node in nodes:
        if not (script.is_over or script.returns):
            succeeded = _run(script, node)
    return succeeded


def _run(script: StartScript, node: Node) -> bool:
    """Follow `node`; return whether it succeeds, as every command does that is not a test."""
    match node:
        case Command():
            return _command(script, node)
        case Chain():
            return _chain(script, node)
        case Not(command=command):
            return not _run(script, command)
        case Group(body=body):
            return _run_all(script, body)
        case If():
            _if(script, node)
        case Case():
            _case(script, node)
        case Function(name=name, body=body):
            script.functions[name] = body
        case Opaque():
            _undecided(script, node, "only a shell can evaluate it, and procman does not run it")
    return True


def _report(script: StartScript, node: Node, consequence: str, *, is_assumed: bool = False) -> None:
    shown = masked(node.first_line)
    script.not_understood.append(Unread(script.file, node.line, shown, consequence, is_assumed))


def _undecided(script: StartScript, node: Node, consequence: str) -> None:
    _report(script, node, consequence)
    if _mentions_celery(node):
        script.undecided = script.undecided or masked(node.first_line)


def _mentions_celery(node: Node) -> bool:
    words = set(re.findall(r"[\w-]+", node.source))
    return "celery" in words and bool(words & SUBCOMMANDS)


def _chain(script: StartScript, node: Chain) -> bool:
    succeeded: bool | None = True
    for link, each in node.links:
        if script.is_over or script.returns:
            break
        if not link or succeeded == (link == "&&"):
            succeeded = holds(script, (each,)) if is_condition(each) else _run(script, each)
        if succeeded is None:
            _undecided(script, node, "its outcome is unknown, and nothing after it is imported")
            return True
    _note_assumed(script, node)
    return bool(succeeded)


def _if(script: StartScript, node: If) -> None:
    for condition, body in node.branches:
        outcome = holds(script, condition) if condition else True
        if outcome is None:
            _undecided(script, node, "its outcome is unknown, and nothing in it is imported")
            return
        if outcome:
            _note_assumed(script, node)
            _run_all(script, body)
            return
    _note_assumed(script, node)


def _case(script: StartScript, node: Case) -> None:
    text = known_text(script, node.word)
    for patterns, body in node.branches:
        outcomes = [None if text is None else matches(script, text, each) for each in patterns]
        if True in outcomes:
            _note_assumed(script, node)
            _run_all(script, body)
            return
        if None in outcomes:
            _undecided(script, node, "its outcome is unknown, and nothing in it is imported")
            return


def _note_assumed(script: StartScript, node: Node) -> None:
    for text, value in script.assumed.items():
        is_default = re.search(r"[-=+]", text)
        consequence = f"{text} is {value!r} here" if is_default and value else f"{text} is empty here"
        _report(script, node, f"{consequence}, because nothing sets this variable", is_assumed=True)
    script.assumed.clear()


def _command(script: StartScript, node: Command) -> bool:
    script.commands += 1
    script.unknown.clear()
    if script.commands > MOST_COMMANDS:
        script.is_over = True
        return False
    if is_condition(node):
        return holds(script, (node,)) is not False
    assigned, rest = _assignments(node.words)
    if rest and rest[0].text in DECLARATIONS:
        _declare(script, node, rest)
        return True
    fields = [each for word in rest for each in fields_of(script, word)]
    left = list(script.unknown)
    for name, word in assigned:
        _assign(script, node, name, word, exports=bool(fields))
    script.unknown[:] = left
    script.redirections += () if node.words else node.redirections
    return not fields or _do(script, node, fields[0], fields[1:])


def _assignments(words: Sequence[Token]) -> tuple[list[tuple[str, Token]], list[Token]]:
    found, rest = list[tuple[str, Token]](), list(words)
    while rest and (name := assignment_in(rest[0])):
        found.append((name, rest.pop(0)))
    return found, rest


def _declare(script: StartScript, node: Command, words: Sequence[Token]) -> None:
    exports = words[0].text == "export" or any(re.fullmatch(r"-\w*x\w*", word.text) for word in words)
    if exports:
        _export_all(script, node, words[1:])
    else:
        for name, word in ((assignment_in(word), word) for word in words[1:]):
            if name:
                _assign(script, node, name, word)


def _assign(script: StartScript, node: Command, name: str, word: Token, *, exports: bool = False) -> None:
    script.unknown.clear()
    _, _, value = text_of(script, word).partition("=")
    if "+=" in word.text.partition("=")[0] + "=":
        value = script.variables.get(name, "") + value
    if script.unknown:
        _report(script, node, f"{_because(script)}; the variable {name} is not imported")
        script.unknown.clear()
        script.variables.pop(name, None)
        script.unknown_names.add(name)
        return
    _note_assumed(script, node)
    _set(script, name, value, exports=exports)


def _because(script: StartScript) -> str:
    """Return why the last expansion is unknown."""
    unset = [text for text in script.unknown if re.fullmatch(r"\$\{?[A-Za-z_]\w*\}?", text)]
    unset = [text for text in unset if text.strip("${}") not in script.unknown_names]
    if unset:
        return f"{unset[0]} is not set here"
    return f"only a shell can evaluate {script.unknown[0]}"


def _set(script: StartScript, name: str, value: str, *, exports: bool = False) -> None:
    script.variables[name] = value
    script.unknown_names.discard(name)
    script.set_in.pop(name, None)
    if script.file:
        script.set_in[name] = script.file
    if exports or script.exports_all:
        script.exported.add(name)


def _do(script: StartScript, node: Command, command: str, words: list[str]) -> bool:
    if command in ("command", "builtin") and words and not words[0].startswith("-"):
        return _do(script, node, words[0], words[1:])
    if command in BUILTINS:
        if script.unknown:
            _undecided(script, node, f"{_because(script)}; it is not imported")
            return True
        _note_assumed(script, node)
        BUILTINS[command](script, node, words)
    elif command == "exec" or _starts_celery([command, *words]):
        _finish(script, node, words if command == "exec" else [command, *words], uses_exec=command == "exec")
    elif command in script.functions:
        _call(script, node, script.functions[command], words)
    elif command not in HARMLESS:
        _report(script, node, "procman does not run it before Celery")
    return True


def _starts_celery(words: Sequence[str]) -> bool:
    at = next((index for index, word in enumerate(words) if Path(word).name == "celery"), None)
    return at is not None and bool(SUBCOMMANDS & set(words[at + 1 :]))


def _finish(script: StartScript, node: Command, words: list[str], *, uses_exec: bool) -> None:
    while uses_exec and words and words[0] in ("-a", "-c", "-l", "--"):
        del words[: 2 if words[0] == "-a" else 1]
    script.redirections += node.redirections
    if words:
        _note_assumed(script, node)
        script.words, script.uses_exec, script.is_over = tuple(words), uses_exec, True
        script.line = node.line


def _call(script: StartScript, node: Node, body: Node, words: list[str]) -> None:
    if script.depth >= 5:
        _report(script, node, "it calls itself")
        return
    outer, script.arguments = script.arguments, tuple(words)
    script.depth += 1
    _run(script, body)
    script.depth -= 1
    script.arguments, script.returns = outer, False


def _cd(script: StartScript, _node: Command, words: list[str]) -> None:
    if words and words[-1] != "-":
        script.directory = script.directory / words[-1]


def _source(script: StartScript, node: Command, words: list[str]) -> None:
    path = script.directory / words[0] if words else script.directory
    if path.name == "activate" and path.parent.name == "bin":
        script.virtualenv = path.parent.parent
        return
    _read_variables(script, node, path, words[1:])


def _read_variables(script: StartScript, node: Command, path: Path, arguments: Sequence[str] = ()) -> None:
    script.files += 1
    text = script.read_text(path) if script.files <= MOST_FILES else ""
    if not text:
        _report(script, node, f"{path} cannot be read, and the variables that it sets are unknown")
        return
    outer = (script.file, script.arguments)
    script.file, script.arguments = path, tuple(arguments) or script.arguments
    _run_text(script, text)
    script.file, script.arguments = outer


def _export_all(script: StartScript, node: Command, words: Sequence[Token]) -> None:
    """Export the variables `words`, which a shell does not split; the file of `VARIABLES_OF_FILE` as a whole."""
    for word in words:
        found = VARIABLES_OF_FILE.fullmatch(word.text)
        if name := assignment_in(word):
            _assign(script, node, name, word, exports=True)
        elif found:
            before, script.exports_all = script.exports_all, True
            _read_variables(script, node, script.directory / found[1])
            script.exports_all = before
        else:
            script.exported |= {each for each in fields_of(script, word) if not each.startswith("-")}


def _unset(script: StartScript, _node: Command, words: list[str]) -> None:
    for word in words:
        script.variables.pop(word, None)
        script.exported.discard(word)


def _set_options(script: StartScript, _node: Command, words: list[str]) -> None:
    if words[:1] in (["-o"], ["+o"]) and words[1:2] == ["allexport"]:
        script.exports_all = words[0] == "-o"
    while words and words[0].startswith(("-", "+")) and words[0] not in ("--", "-"):
        word = words.pop(0)
        if "a" in word[1:]:
            script.exports_all = word.startswith("-")
        if "o" in word[1:]:
            del words[:1]
    if words:
        script.arguments = tuple(words[1:] if words[0] in ("--", "-") else words)


def _shift(script: StartScript, _node: Command, words: list[str]) -> None:
    number = int(words[0]) if words and re.fullmatch(r"\d{1,4}", words[0]) else 1
    script.arguments = script.arguments[number:]


def _umask(script: StartScript, _node: Command, words: list[str]) -> None:
    script.umask = words[0] if words else script.umask


def _exit(script: StartScript, _node: Command, _words: list[str]) -> None:
    script.is_over = True


def _return(script: StartScript, _node: Command, _words: list[str]) -> None:
    script.returns = True


BUILTINS: Mapping[str, Callable[[StartScript, Command, list[str]], None]] = {
    "cd": _cd,
    "source": _source,
    ".": _source,
    "unset": _unset,
    "set": _set_options,
    "shift": _shift,
    "umask": _umask,
    "exit": _exit,
    "return": _return,
}
