"""Read the start script of a Celery program: assignments, cd, activate, export, conditions, and the final command.

This is not a shell: nothing is run. What it does not understand is reported, so that a person can check it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from procman.celery_cli.script_state import SUBCOMMANDS, StartScript, assign, because, note_assumed, report, undecided
from procman.celery_cli.shell_builtins import BUILTINS, DECLARATIONS, declare
from procman.celery_cli.shell_conditions import holds, is_condition, known_text, matches
from procman.celery_cli.shell_expansion import assignment_in, fields_of
from procman.celery_cli.shell_nodes import Case, Chain, Command, Function, Group, If, Node, Not, Opaque
from procman.celery_cli.shell_syntax import read_nodes
from procman.celery_cli.shell_words import Token

LONGEST_SCRIPT = 65_536
SHELLS = {"su", "runuser", "sudo", "sh", "bash", "dash"}
OF_CELERY = re.compile(r"\bcelery\b[^\n]*\s(?:worker|beat|multi)\b")
"""A command of Celery in the text that one of SHELLS runs."""

MOST_COMMANDS = 10_000

HARMLESS = {"echo", "printf", "shopt", "true", ":", "date", "whoami", "id", "hash", "sleep"}


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
        follow=_run_text,
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
            undecided(script, node, "only a shell can evaluate it, and procman does not run it")
    return True


def _chain(script: StartScript, node: Chain) -> bool:
    succeeded: bool | None = True
    for link, each in node.links:
        if script.is_over or script.returns:
            break
        if not link or succeeded == (link == "&&"):
            succeeded = holds(script, (each,)) if is_condition(each) else _run(script, each)
        if succeeded is None:
            undecided(script, node, "its outcome is unknown, and nothing after it is imported")
            return True
    note_assumed(script, node)
    return bool(succeeded)


def _if(script: StartScript, node: If) -> None:
    for condition, body in node.branches:
        outcome = holds(script, condition) if condition else True
        if outcome is None:
            undecided(script, node, "its outcome is unknown, and nothing in it is imported")
            return
        if outcome:
            note_assumed(script, node)
            _run_all(script, body)
            return
    note_assumed(script, node)


def _case(script: StartScript, node: Case) -> None:
    text = known_text(script, node.word)
    for patterns, body in node.branches:
        outcomes = [None if text is None else matches(script, text, each) for each in patterns]
        if True in outcomes:
            note_assumed(script, node)
            _run_all(script, body)
            return
        if None in outcomes:
            undecided(script, node, "its outcome is unknown, and nothing in it is imported")
            return


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
        declare(script, node, rest)
        return True
    fields = [each for word in rest for each in fields_of(script, word)]
    left = list(script.unknown)
    for name, word in assigned:
        assign(script, node, name, word, exports=bool(fields))
    script.unknown[:] = left
    script.redirections += () if node.words else node.redirections
    return not fields or _do(script, node, fields[0], fields[1:])


def _assignments(words: Sequence[Token]) -> tuple[list[tuple[str, Token]], list[Token]]:
    found, rest = list[tuple[str, Token]](), list(words)
    while rest and (name := assignment_in(rest[0])):
        found.append((name, rest.pop(0)))
    return found, rest


def _do(script: StartScript, node: Command, command: str, words: list[str]) -> bool:
    if command in ("command", "builtin") and words and not words[0].startswith("-"):
        at = next((index for index, word in enumerate(words) if word not in ("command", "builtin")), 0)
        command, words = words[at], words[at + 1 :]
    if command in BUILTINS:
        if script.unknown:
            undecided(script, node, f"{because(script)}; it is not imported")
            return True
        note_assumed(script, node)
        BUILTINS[command](script, node, words)
    elif command == "exec" or _starts_celery([command, *words]):
        _finish(script, node, words if command == "exec" else [command, *words], uses_exec=command == "exec")
    elif command in script.functions:
        _call(script, node, script.functions[command], words)
    elif command not in HARMLESS:
        report(script, node, "procman does not run it before Celery")
        script.last = (command, *words)
    return True


def _starts_celery(words: Sequence[str]) -> bool:
    if Path(words[0]).name in SHELLS and any(OF_CELERY.search(word) for word in words[1:]):
        return True
    at = next((index for index, word in enumerate(words) if Path(word).name == "celery"), None)
    return at is not None and bool(SUBCOMMANDS & set(words[at + 1 :]))


def _finish(script: StartScript, node: Command, words: list[str], *, uses_exec: bool) -> None:
    while uses_exec and words and words[0] in ("-a", "-c", "-l", "--"):
        del words[: 2 if words[0] == "-a" else 1]
    script.redirections += node.redirections
    if words:
        note_assumed(script, node)
        script.words, script.uses_exec, script.is_over = tuple(words), uses_exec, True
        script.line = node.line


def _call(script: StartScript, node: Node, body: Node, words: list[str]) -> None:
    if script.depth >= 5:
        report(script, node, "it calls itself")
        return
    outer, script.arguments = script.arguments, tuple(words)
    script.depth += 1
    _run(script, body)
    script.depth -= 1
    script.arguments, script.returns = outer, False
