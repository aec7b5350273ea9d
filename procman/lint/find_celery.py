"""Recognise Celery in any command, even behind a start script or a shell, without running anything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from procman.agent import LAUNCHER
from procman.celery_cli.parse import CeleryCommand, read_command
from procman.celery_cli.script_file import SHELL, ScriptFile, script_started_by, text_of
from procman.celery_cli.start_script import read_script
from procman.lint.inputs import Recognised, Shell
from procman.model import Kind
from procman.secrets import is_secret

CELERY = re.compile(r"(?i)celery(?:_bin)?\}?\b")
SUBCOMMAND = re.compile(r"(?i)\b(?:worker|beat|multi)\b")
NAMED = re.compile(r"(?i)celery|\bbeat\b")
EXEC = re.compile(r"(?:^|[;&|]\s*|\n\s*)exec\s")


def read_celery(words: Sequence[str]) -> CeleryCommand | None:
    """Return the worker or beat that `words` start, directly or through a project's launcher; None if neither."""
    launchers = [at for at, word in enumerate(words[:3]) if Path(word).name == LAUNCHER]
    if launchers:
        words = [*words[: launchers[0]], "celery", *words[launchers[0] + 1 :]]
    return read_command(words) if words else None


def recognise(name: str, words: Sequence[str], directory: Path, environment: Mapping[str, str]) -> Recognised:
    """Return what `words` start; `name` is the program's name, used only if its script cannot be read."""
    command = read_celery(words)
    if command:
        return Recognised(command.kind, tuple(words), command, None)
    line = " ".join(words)
    file = script_started_by(words, directory)
    if file is None:
        is_shell = bool(words) and SHELL.fullmatch(Path(words[0]).name) is not None
        return _unread(name, words, line, is_shell=is_shell)
    return _behind_shell(file, directory, environment)


def _behind_shell(file: ScriptFile, directory: Path, environment: Mapping[str, str]) -> Recognised:
    script = read_script(file.text, directory, environment, name=file.name, arguments=file.arguments, read_text=text_of)
    command = read_celery(script.words)
    mentioned = _mentioned(file.text)
    multi = command is None and mentioned == "multi"
    kind = command.kind if command else _kind(mentioned) if mentioned else None
    # bash replaces itself with the last command of `-c`; dash, Debian's sh, does not (0.5.12).
    uses_exec = script.uses_exec or (command is None and EXEC.search(file.text) is not None)
    uses_exec = uses_exec or (file.path is None and Path(file.shell).name == "bash")
    new = {name: value for name, value in script.environment.items() if environment.get(name) != value}
    # The files that it reads have permissions of their own.
    own = {name: value for name, value in new.items() if name not in script.set_in}
    secrets = tuple(name for name, value in own.items() if is_secret(name, value)) if is_open(file.path) else ()
    shell = None if multi or kind is None else Shell(file.path, is_read=True, uses_exec=uses_exec, secrets=secrets)
    return Recognised(kind, tuple(script.words) if command else (), command, shell, multi)


def is_open(path: Path | None) -> bool:
    """Return whether every user of the host can read the file at `path`."""
    try:
        return path is not None and bool(path.stat().st_mode & 0o004)
    except OSError:
        return False


def _unread(name: str, words: Sequence[str], line: str, *, is_shell: bool) -> Recognised:
    looks_like_script = is_shell or (bool(words) and words[0].endswith(".sh"))
    mentioned = "" if looks_like_script else _mentioned(line)
    if mentioned:
        return Recognised(_kind(mentioned), tuple(words), None, None, multi=mentioned == "multi")
    if looks_like_script and NAMED.search(f"{name} {line}"):
        kind = Kind.BEAT if re.search("(?i)beat", f"{name} {line}") else Kind.WORKER
        script = next((Path(word) for word in words if word.endswith(".sh")), Path(words[-1]))
        return Recognised(kind, (), None, Shell(script, is_read=False, uses_exec=False))
    return Recognised(None, (), None, None)


def _mentioned(text: str) -> str:
    """Return worker, beat or multi, if a line of `text` names it after Celery; empty if none does."""
    for line in text.split("\n"):
        celery = CELERY.search(line)
        found = celery and SUBCOMMAND.search(line, celery.end())
        if found:
            return found.group().lower()
    return ""


def _kind(what: str) -> Kind:
    return Kind.BEAT if what == "beat" else Kind.WORKER
