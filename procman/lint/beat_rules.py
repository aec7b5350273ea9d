"""PM965: two programs of the given files that send the periodic tasks of one app."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path

from procman.celery_cli.parse import CeleryCommand, options_in
from procman.lint.inputs import Finding, Part, Reader, finding
from procman.model import Kind, Level

CHOOSE_THE_APP = ("-b", "--broker", "--config", "--loader", "--workdir", "-S", "--scheduler")
"""Options with which two beats of one name may be those of two projects."""

LOCKS = re.compile(r"(?i)redbeat|lock|singleton")
"""A scheduler of which only one sends at a time."""

HARMLESS = re.compile(r"C_FORCE_ROOT|PYTHON(?!PATH)\w*|PATH|HOME|TZ|LANG|LC_\w+|TERM|\w*LOG_?LEVEL|OTEL_SERVICE_NAME")
"""Variables that do not choose the app or its broker."""


def beats_differ(parts: Sequence[Part]) -> Iterator[Finding]:
    """Yield PM965 for each beat beside another one of the same project, where it is certain that both run.

    Whatever could make one of them that of another project does: the directory, a variable, the image.
    """
    first: dict[Hashable, Part] = {}
    for part in parts:
        project = _project(part, part.started.command) if part.started.command and _runs(part) else None
        other = first.setdefault(project, part) if project else part
        # supervisord merges sections of one name, and a manifest replaces an object of one name.
        if other.name != part.name:
            place = f"{other.command.file}:{other.command.line}" if other.command else str(other.file)
            why = f"{other.name} ({place}) is a beat of the same project too: each sends every periodic task"
            at, remedy = part.command, "keep one of them"
            yield finding("PM965", Level.CRITICAL, part, at, at.name if at else "", why, remedy)


def _runs(part: Part) -> bool:
    """Return whether the manager surely starts the program, and the program a beat."""
    command = part.started.command
    is_beat = command is not None and (command.kind is Kind.BEAT or command.with_beat)
    if not is_beat or part.started.multi:
        return False
    if part.reader is Reader.SUPERVISOR:
        return part.value("autostart", "true") in ("true", "yes", "on", "1") and part.value("numprocs", "1") != "0"
    if part.reader is Reader.SYSTEMD:
        is_enabled = bool(part.value("Install.WantedBy") or part.value("Install.RequiredBy"))
        return is_enabled and "@." not in part.name and not part.value("Unit.Conflicts")
    return part.reader is not Reader.DOCKERFILE and part.container.starts and part.container.replicas > 0


def _project(part: Part, command: CeleryCommand) -> Hashable:
    """Return a value that the beats of one project share; None if it is unknown, or only one of them sends."""
    words = part.started.words
    at = _celery_in(words)
    chosen = _chosen(part)
    if at is None or part.container.surroundings is None or any(LOCKS.search(value) for _, value in chosen):
        return None
    variables = {**_variables(part), **command.environment}
    # Of a host, one manager reads the files of one directory.
    place = part.file if part.reader.runs_containers else part.file.parent
    surroundings = (part.container.surroundings, _directory(part), _environment_files(part))
    return (part.reader, place, words[: at + 1], _app(command), chosen, deciding(variables), surroundings)


def scheduler_locks(part: Part) -> bool:
    """Return whether the command names a scheduler of which only one sends at a time."""
    return any(LOCKS.search(value) for name, value in _chosen(part) if name in ("-S", "--scheduler"))


def _chosen(part: Part) -> tuple[tuple[str, str], ...]:
    at = _celery_in(part.started.words)
    options = options_in(part.started.words[at + 1 :] if at is not None else ())
    return tuple(sorted((name, value) for name, value in options if name in CHOOSE_THE_APP))


def _celery_in(words: Sequence[str]) -> int | None:
    return next((index for index, word in enumerate(words) if Path(word).name == "celery"), None)


def _app(command: CeleryCommand) -> tuple[str, str]:
    """Return module and attribute; `site`, `site.celery` and `site.celery:app` are one app, as Celery finds it."""
    module, _, attribute = str(command.project.get("app") or "").partition(":")
    return module.removesuffix(".celery"), "" if attribute in ("app", "celery") else attribute


def _variables(part: Part) -> Mapping[str, str]:
    if part.reader.runs_containers:
        return part.container.environment
    found = {name: each.value for name, each in part.variables.items()}
    # What supervisord has to fill in is missing in the values.
    written = part.find("environment")
    return {**found, "environment=": written.value} if written and "%(" in written.value else found


def _directory(part: Part) -> str:
    return part.value("directory") or part.value("Service.WorkingDirectory")


def _environment_files(part: Part) -> tuple[str, ...]:
    return tuple(each.value for each in part.settings if each.name == "Service.EnvironmentFile")


def deciding(variables: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return those of `variables` that may choose the app or its broker."""
    return tuple(sorted((name, value) for name, value in variables.items() if not HARMLESS.fullmatch(name)))
