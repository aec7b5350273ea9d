"""Find Celery's command behind what an existing program starts: a shell, a start script, a wrapper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from procman.celery_cli.multi import multi_at
from procman.celery_cli.parse import CeleryCommand, read_command
from procman.celery_cli.script_file import ScriptFile, script_started_by
from procman.celery_cli.script_state import StartScript
from procman.celery_cli.shell_replaced import replaces_itself
from procman.celery_cli.start_script import read_script
from procman.init.importing.existing import Existing, Remark, Stop
from procman.init.importing.readers.unknown_words import needs_value
from procman.init.importing.texts import Texts
from procman.init.importing.variables_files import parsed
from procman.init.importing.wrapping.unwrapped import Unwrapped, joined
from procman.init.importing.wrapping.wrappers import unwrap
from procman.secrets import masked

HOST_NAME = re.compile(r"@(?:\$\((?:hostname|uname -n)\)|`hostname`|\$HOSTNAME|\$\{HOSTNAME\})\Z")
"""The host in a node name, as Celery itself finds it for %h."""

PASSES_ON = re.compile(r'^\s*(?:exec\s+)?(?:"\$@"|\$@)', re.MULTILINE)
"""A line that runs the arguments of the script."""

NAMES_CELERY = re.compile(r"^[^#\n]*\bcelery\b", re.MULTILINE)
NAMES_COMMAND = re.compile(r"^[^#\n]*\b(?:worker|beat|multi)\b", re.MULTILINE)
"""Outside of comments; the words of a command may be in a variable or an array."""

DEEPEST = 4
"""Scripts that start each other."""

WITHOUT_EXEC = "a shell without exec"


@dataclass(frozen=True)
class Understood:
    """What an existing program starts; the fields are those of `Existing`."""

    words: tuple[str, ...]
    """The effective command: of a start script, the command that it finally runs."""
    command: CeleryCommand | None = None
    """None: not a worker or beat, or it could not be understood (`problem`)."""
    problem: str = ""
    """Why a program that does start Celery cannot be imported."""
    wrapper: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The variables that reach Celery, without those of `environment_files`."""
    environment_files: tuple[Path, ...] = ()
    directory: Path | None = None
    """Where Celery is started; None: unknown."""
    user: str | None = None
    """The user that a wrapper changes to."""
    group: str | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    """Keys that the script or wrapper sets, such as umask or nice."""
    remarks: tuple[Remark, ...] = ()
    likely_app: str = ""
    keeps_shell: bool = False
    """Whether a shell remains in front of Celery."""
    scripts: tuple[ScriptFile, ...] = ()
    """The start scripts and shell commands that were read, the outermost first."""


def understood(
    words: Sequence[str],
    environment: Mapping[str, str],
    directory: Path | None,
    *,
    place: str,
    user: str | None = None,
    sees_files: bool = True,
) -> Understood:
    """Return what `words`, which a program starts in `directory` with `environment`, finally run.

    `place` is where the program is defined, such as `/etc/supervisor/conf.d/celery.conf:12`, for the remarks. `user`
    runs it: root reads as this user what other users can replace (S3). In a container, it does not see the files of
    this host (`sees_files`).
    """
    texts = Texts(user, sees_files=sees_files)
    return _understood(words, environment, directory, place, texts)


def with_understood(existing: Existing, found: Understood) -> Existing:
    """Return `existing` with what its command starts; a wrapper's user has its own group, not that of `existing`."""
    return replace(
        existing,
        words=found.words,
        command=found.command,
        problem=found.problem,
        wrapper=found.wrapper,
        environment=found.environment,
        environment_files=found.environment_files,
        directory=found.directory,
        user=found.user or existing.user,
        group=found.group if found.user else found.group or existing.group,
        values={**existing.values, **found.values},
        remarks=(*existing.remarks, *found.remarks),
        likely_app=found.likely_app,
    )


def _understood(
    words: Sequence[str],
    environment: Mapping[str, str],
    directory: Path | None,
    place: str,
    texts: Texts,
    depth: int = 0,
) -> Understood:
    sees_files = texts.sees_files
    outside = unwrap(words, environment, directory, place=place, sees_files=sees_files)
    command = read_command(outside.words)
    if outside.problem or command:
        return _of(outside, command)
    file = script_started_by(outside.words, outside.directory or Path("/"), texts.read if texts.user else None)
    if file is None or (file.path and not sees_files):
        return Understood(tuple(words), environment=environment, directory=directory)
    script = read_script(
        file.text,
        outside.directory or Path("/"),
        outside.environment,
        name=str(file.path or file.name),
        arguments=file.arguments,
        read_text=texts.read,
        sees_files=sees_files,
    )
    if depth < DEEPEST and (script.words or _ends_with_unknown(script)):
        started = (
            script if script.words else replace(script, words=script.last, not_understood=script.not_understood[:-1])
        )
        inner = _of_inner_script(started, file, outside, texts, depth)
        if inner:
            return inner
    return _of_script(script, file, outside, texts)


def _ends_with_unknown(script: StartScript) -> bool:
    """Return whether the last command may be a script that starts Celery, without `exec`."""
    return bool(script.last) and not script.undecided


def _of_inner_script(
    script: StartScript, file: ScriptFile, outside: Unwrapped, texts: Texts, depth: int
) -> Understood | None:
    """Return what the script starts through another shell or script; None if it starts no other that is understood."""
    if read_command(script.words) or multi_at(script.words) is not None:
        return None
    where = f"{file.path}:{script.line}" if file.path else outside.place
    directory = script.directory if script.directory != Path("/") else outside.directory
    inner = _understood(script.words, script.environment, directory, where, texts, depth + 1)
    if inner.words == script.words or not (inner.command or multi_at(inner.words) is not None):
        return None
    if inner.command and script.virtualenv:
        inner.command.project.setdefault("virtualenv", str(script.virtualenv))
    return replace(
        inner,
        wrapper=(*outside.wrapper, *inner.wrapper),
        user=inner.user or outside.user,
        group=inner.group or outside.group,
        values={**outside.values, **({"umask": script.umask} if script.umask else {}), **inner.values},
        remarks=tuple(
            dict.fromkeys(
                [*outside.remarks, *_not_understood(script, file, str(file.path or outside.place)), *inner.remarks]
            )
        ),
        keeps_shell=inner.keeps_shell or _keeps_shell(script, file),
        scripts=(file, *inner.scripts),
    )


def _of(bare: Unwrapped, command: CeleryCommand | None) -> Understood:
    if command and bare.virtualenv:
        command.project.setdefault("virtualenv", str(bare.virtualenv))
    return Understood(
        bare.words,
        command,
        bare.problem,
        likely_app=bare.likely_app,
        wrapper=bare.wrapper,
        environment={**bare.environment, **(command.environment if command else {})},
        environment_files=bare.environment_files,
        directory=bare.directory,
        user=bare.user,
        group=bare.group,
        values=bare.values,
        remarks=bare.remarks,
    )


def stopped_behind(found: Understood, stop: Stop) -> tuple[Stop, tuple[Remark, ...]]:
    """Return how `stop` reaches what `found` starts, and its remarks: only a signal to all passes a shell."""
    if found.keeps_shell and stop.reaches == "main":
        return replace(stop, reaches="shell"), found.remarks
    return stop, tuple(each for each in found.remarks if each.what != WITHOUT_EXEC)


def _of_script(script: StartScript, file: ScriptFile, outside: Unwrapped, texts: Texts) -> Understood:
    where = str(file.path or outside.place)
    words, lost = _without_unknown(script)
    at = f"{file.path}:{script.line}" if file.path and script.line else where
    remarks = tuple(dict.fromkeys([*_not_understood(script, file, where), *(_lost(at, each) for each in lost)]))
    if not words and not script.undecided and PASSES_ON.search(file.text):
        # Such as `"$@" &`: the command is known, only what the script does around it is not.
        words = file.arguments
    directory = script.directory if script.directory != Path("/") else outside.directory
    inside = unwrap(words, script.environment, directory, place=where, sees_files=outside.sees_files)
    command = read_command(inside.words)
    bare = joined(outside, inside) if command or multi_at(inside.words) is not None else outside
    if bare is outside:
        problem = inside.problem or _problem(script, file, lost)
        shown = words or outside.words
        return Understood(shown, None, problem, remarks=(*outside.remarks, *remarks), scripts=(file,))
    files = _environment_files(script, texts)
    in_files = {name for path in files for name in parsed(path, texts.read(path)).variables}
    if command and script.virtualenv:
        command.project.setdefault("virtualenv", str(script.virtualenv))
    found = _of(bare, command)
    return replace(
        found,
        environment={name: value for name, value in found.environment.items() if name not in in_files},
        environment_files=(*found.environment_files, *files),
        values=({"umask": script.umask} if script.umask else {}) | dict(found.values),
        remarks=(*found.remarks, *remarks, *_consequences(script, file, at)),
        keeps_shell=_keeps_shell(script, file),
        scripts=(file,),
    )


def _keeps_shell(script: StartScript, file: ScriptFile) -> bool:
    # The nodes of `celery multi` outlive the shell.
    return not (script.uses_exec or replaces_itself(file) or multi_at(script.words) is not None)


def _problem(script: StartScript, file: ScriptFile, lost: Sequence[str]) -> str:
    """Return why the script of a program that starts Celery is not understood; empty if it does not start Celery."""
    called = f"its start script {file.path}" if file.path else "its shell command"
    if script.undecided:
        return f"whether {called} starts Celery depends on `{script.undecided}`, which only a shell can evaluate"
    is_open = not script.words or (lost and Path(script.words[0]).name == "celery")
    if is_open and NAMES_CELERY.search(file.text) and NAMES_COMMAND.search(file.text):
        return f"{called} starts no Celery worker or beat that can be understood"
    return ""


def _environment_files(script: StartScript, texts: Texts) -> tuple[Path, ...]:
    """Return the files of the script that only set variables, all of which reach Celery unchanged."""
    environment = script.environment
    found = []
    for path in dict.fromkeys(script.set_in.values()):
        file = parsed(path, texts.read(path))
        reaches = all(environment.get(name) == value for name, value in file.variables.items())
        if reaches and file.variables and not file.not_understood:
            found.append(path)
    return tuple(found)


def _without_unknown(script: StartScript) -> tuple[tuple[str, ...], list[str]]:
    """Return the words of the command without what only a shell can evaluate, and the words that were left out."""
    kept, lost = list[str](), list[str]()
    for each in script.words:
        word = HOST_NAME.sub("@%h", each)
        if not any(text in word for text in script.unknown):
            kept.append(word)
            continue
        option = kept.pop() if kept and needs_value(kept[-1]) else ""
        lost.append(f"{option} {word}".strip())
        if Path(word).name == "celery":
            kept.append("celery")
    return tuple(kept), lost


def _lost(where: str, word: str) -> Remark:
    return Remark(where, masked(word), "only the shell that runs the script knows its value", doubtful=True)


def _not_understood(script: StartScript, file: ScriptFile, where: str) -> Iterator[Remark]:
    for each in script.not_understood:
        path = each.file or file.path
        yield Remark(
            # A text on the command line has the place of its program.
            f"{path}:{each.line}" if path else where,
            each.what,
            each.consequence,
            changed=each.is_assumed,
            doubtful=not each.is_assumed,
        )


def _consequences(script: StartScript, file: ScriptFile, where: str) -> list[Remark]:
    remarks = [Remark(where, each, "the process manager keeps and rotates the log") for each in script.redirections]
    if _keeps_shell(script, file):
        why = "a stop reached only the shell, and Celery kept running"
        remarks.append(Remark(where, WITHOUT_EXEC, why, changed=True))
    return remarks
