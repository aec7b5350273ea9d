"""The commands of a shell that change how a start script goes on: cd, source, export, set and so on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from procman.celery_cli.script_state import StartScript, assign, report
from procman.celery_cli.shell_expansion import assignment_in, fields_of
from procman.celery_cli.shell_nodes import Command
from procman.celery_cli.shell_words import Token

MOST_FILES = 20
"""Files that one script may read with `source`."""

PROFILES = {"profile", ".profile", "bashrc", ".bashrc", "bash.bashrc", ".bash_profile"}
"""They are for people, and different on every host."""

DECLARATIONS = {"export", "declare", "typeset", "readonly", "local"}
VARIABLES_OF_FILE = re.compile(r"\$\((?:cat|grep)\s[^|()]*?([\w./-]+)\s*(?:\|[^()]*)?\)")
"""`export $(grep -v '^#' FILE | xargs)`, which exports the variables of FILE."""


def declare(script: StartScript, node: Command, words: Sequence[Token]) -> None:
    """Follow a command of DECLARATIONS, whose words a shell does not split."""
    exports = words[0].text == "export" or any(re.fullmatch(r"-\w*x\w*", word.text) for word in words)
    if exports:
        _export_all(script, node, words[1:])
    else:
        for name, word in ((assignment_in(word), word) for word in words[1:]):
            if name:
                assign(script, node, name, word)


def _cd(script: StartScript, _node: Command, words: list[str]) -> None:
    if words and words[-1] != "-":
        script.directory = Path(os.path.normpath(script.directory / words[-1]))


def _source(script: StartScript, node: Command, words: list[str]) -> None:
    path = script.directory / words[0] if words else script.directory
    if path.name == "activate" and path.parent.name == "bin":
        script.virtualenv = Path(os.path.normpath(path.parent.parent))
        return
    if path.name in PROFILES:
        report(script, node, "the variables of a login shell are not imported")
        return
    _read_variables(script, node, path, words[1:])


def _read_variables(script: StartScript, node: Command, path: Path, arguments: Sequence[str] = ()) -> None:
    script.files += 1
    text = script.read_text(path) if script.files <= MOST_FILES else ""
    if not text:
        report(script, node, f"{path} cannot be read, and the variables that it sets are unknown")
        return
    outer = (script.file, script.arguments)
    script.file, script.arguments = path, tuple(arguments) or script.arguments
    script.follow(script, text)
    script.file, script.arguments = outer


def _export_all(script: StartScript, node: Command, words: Sequence[Token]) -> None:
    """Export the variables `words`, which a shell does not split; the file of `VARIABLES_OF_FILE` as a whole."""
    for word in words:
        found = VARIABLES_OF_FILE.fullmatch(word.text)
        if name := assignment_in(word):
            assign(script, node, name, word, exports=True)
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
