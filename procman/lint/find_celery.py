"""Recognise Celery in any command, even behind a start script or a shell, without running anything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from procman.agent import LAUNCHER
from procman.celery_cli.multi import multi_at
from procman.celery_cli.parse import CeleryCommand, read_command
from procman.celery_cli.script_file import SHELL, ScriptFile
from procman.celery_cli.shell_replaced import replaces_itself
from procman.celery_cli.start_script import read_script
from procman.init.importing.understand import Understood, understood
from procman.lint.inputs import Recognised, Shell
from procman.model import Kind
from procman.secrets import is_secret

CELERY = re.compile(r"(?i)celery(?:_bin)?\}?\b")
SUBCOMMAND = re.compile(r"(?i)\b(?:worker|beat|multi)\b")
NAMED = re.compile(r"(?i)celery|\bbeat\b")
EXEC = re.compile(r"(?:\A|[;&|\n])[ \t]*exec\s")
PIPED = re.compile(r"(?:[^|;&\n]|>&|&>)*\|(?!\|)")
"""What follows an `exec` that only replaces the shell of one command in a pipeline."""
CHANGES_USER = re.compile(r"(?m)^[^#\n]*\b(?:setpriv\s[^#\n]{0,200}--reuid|gosu|su-exec|setuidgid|runuser|sudo\s+-u)\s")
"""A line of a script that runs a command as another user, even under a condition."""
KILLS = re.compile(r"(?:\A|[;&|\n])[ \t]*(?:exec[ \t]+)?(?:/[\w/]{0,100}/)?(su|runuser)[ \t]")
"""A command of a script that stays in front of what it starts, and kills that 2 seconds after a TERM (util-linux)."""
TRAP = re.compile(r"(?:\A|[;&|\n])[ \t]*trap[ \t][^#\n]{0,300}\b(?:SIG)?(?:TERM|INT|EXIT)\b")
"""A script that handles the stop signal itself."""


IN_VARIABLE = re.compile(r"""(?im)^\s*(?:exec\s+)?["']?\$\{?\w*celery\w*\}?["']?\s[^#\n]*\b(?:worker|beat|multi)\b""")
"""A command whose variable is not set, such as the CELERY_BIN of an environment file that only another host has."""


def read_celery(words: Sequence[str]) -> CeleryCommand | None:
    """Return the worker or beat that `words` start, directly or through a project's launcher; None if neither."""
    launchers = [at for at, word in enumerate(words[:3]) if Path(word).name == LAUNCHER]
    if launchers:
        words = [*words[: launchers[0]], "celery", *words[launchers[0] + 1 :]]
    return read_command(words) if words else None


def recognise(
    name: str, words: Sequence[str], directory: Path, environment: Mapping[str, str], user: str | None = None
) -> Recognised:
    """Return what `words`, which run as `user`, start.

    `name` is the program's name, used only if its script cannot be read. Root reads as `user` what that can replace.
    """
    return recognised(name, words, understood(words, environment, directory, place=name, user=user), environment)


def recognised(name: str, words: Sequence[str], found: Understood, environment: Mapping[str, str]) -> Recognised:
    """Return the program that `words`, which were `found` to start something, start with `environment`."""
    changes_user = found.user not in (None, "root") or any(CHANGES_USER.search(each.text) for each in found.scripts)
    known = _recognised(name, words, found, environment)
    return replace(known, changes_user=changes_user, killed_by=_killed_by(words, found) if known.kind else "")


def _killed_by(words: Sequence[str], found: Understood) -> str:
    """Return the su or runuser in front of Celery; empty if there is none."""
    texts = [" ".join(words), *(each.text for each in found.scripts)]
    return next((match[1] for text in texts if (match := KILLS.search(text))), "")


def _recognised(name: str, words: Sequence[str], found: Understood, environment: Mapping[str, str]) -> Recognised:
    command = found.command or read_celery(found.words)
    if not found.scripts:
        multi = multi_at(found.words) is not None
        if command or multi:
            return Recognised(command.kind if command else Kind.WORKER, found.words, command, None, multi)
        return _unread(name, words)
    mentioned = next((what for each in found.scripts if (what := _mentioned(each.text))), "worker")
    is_in_variable = command is None and any(IN_VARIABLE.search(each.text) for each in found.scripts)
    multi = command is None and (multi_at(found.words) is not None or (is_in_variable and mentioned == "multi"))
    if not (command or multi or found.problem or is_in_variable):
        return Recognised()
    kind = command.kind if command else _kind(mentioned)
    shell = None if multi else _shell(found, environment, is_understood=command is not None)
    return Recognised(kind, found.words if command or multi else (), command, shell, multi)


def _shell(found: Understood, environment: Mapping[str, str], *, is_understood: bool) -> Shell:
    # The one that a stop does not pass.
    script = next((each for each in found.scripts if not _has_exec(each.text)), found.scripts[0])
    uses_exec = _has_exec(script.text) or replaces_itself(script)
    uses_exec = not found.keeps_shell if is_understood and found.command else uses_exec
    secrets = tuple(name for each in found.scripts for name in _secrets(each, environment))
    return Shell(script.path, is_read=True, uses_exec=uses_exec, traps=bool(TRAP.search(script.text)), secrets=secrets)


def _has_exec(text: str) -> bool:
    return any(not PIPED.match(text, each.end()) for each in EXEC.finditer(text))


def _secrets(file: ScriptFile, environment: Mapping[str, str]) -> list[str]:
    if not is_open(file.path):
        return []
    script = read_script(file.text, Path("/"), environment, name=file.name, arguments=file.arguments)
    return [
        name for name, value in script.environment.items() if environment.get(name) != value and is_secret(name, value)
    ]


def is_open(path: Path | None) -> bool:
    """Return whether every user of the host can read the file at `path`."""
    try:
        return path is not None and bool(path.stat().st_mode & 0o004)
    except OSError:
        return False


def _unread(name: str, words: Sequence[str]) -> Recognised:
    line = " ".join(words)
    is_shell = bool(words) and SHELL.fullmatch(Path(words[0]).name) is not None
    looks_like_script = is_shell or (bool(words) and words[0].endswith(".sh"))
    mentioned = "" if looks_like_script else _mentioned(line)
    if mentioned:
        return Recognised(_kind(mentioned), tuple(words), None, None, multi=mentioned == "multi")
    if looks_like_script and NAMED.search(f"{name} {line}"):
        kind = Kind.BEAT if re.search("(?i)beat", f"{name} {line}") else Kind.WORKER
        script = next((Path(word) for word in words if word.endswith(".sh")), Path(words[-1]))
        return Recognised(kind, (), None, Shell(script, is_read=False, uses_exec=False))
    return Recognised()


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
