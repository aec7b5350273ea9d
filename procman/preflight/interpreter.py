"""PM70x: the virtualenv's Python and Celery, the commands and the environment file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from procman.backends import backend_named
from procman.model import Kind, Level, Result
from procman.preflight.celery_commands import celery_subcommand
from procman.preflight.inputs import PreflightFacts
from procman.project import Command, Program

OLDEST_CELERY, NEWER_CELERY = (4, 4), (6,)
"""The oldest version that procman is tested with, and the first that it is not."""

CELERY_HOLE = ((5, 2, 2), "CVE-2021-23727: whoever can write to the result backend can run commands in the worker")
"""The first version without the vulnerability, and its description."""

FLOWER = "flower"
"""The only package that is named as the subcommand it adds."""

SUPERVISOR_HOLE = (
    (3, 3, 3),
    "CVE-2017-11610: whoever can use its socket or port can run commands as supervisord's user",
)


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the start of a version: (5, 2, 0) for 5.2.0rc1."""
    return tuple(int(number) for number in re.findall(r"\d+", re.match(r"[\d.]*", version)[0]))  # type: ignore[index]


def python_starts(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM701, as the programs' user."""
    python, found = preflight.project.virtualenv / "bin" / "python", preflight.interpreter
    if found.version:
        yield Result("PM701", None, Level.OK, f"{python}: Python {found.version}")
    elif found.error:
        hint = found.hint or "Create the virtualenv again, or correct virtualenv in [project]."
        yield Result("PM701", None, Level.CRITICAL, found.error, hint)


def celery_is_there(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM702."""
    app = preflight.facts()
    if app is None:
        if any("No module named 'celery'" in each.error for each in preflight.asked):
            hint = preflight.install_hint("celery")
            yield Result("PM702", None, Level.CRITICAL, "Celery is not in the virtualenv", hint)
        return
    version = app.versions.get("celery", "")
    versions = ", ".join(f"{name} {found}" for name, found in app.versions.items())
    if version and not OLDEST_CELERY <= numbers(version) < NEWER_CELERY:
        hint = "Use a tested version, or try the install on a test host first."
        detail = f"procman is tested with Celery 4.4 to 5.7, but this is {version}"
        yield Result("PM702", None, Level.WARNING, detail, hint)
    else:
        yield Result("PM702", None, Level.OK, versions)


def no_known_holes(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM703."""
    app = preflight.facts()
    version, (fixed, what) = app.versions.get("celery", "") if app else "", CELERY_HOLE
    if version and numbers(version) < fixed:
        hint = "Upgrade to celery 5.2.2 or later; until then, restrict who can write to the result backend."
        yield Result("PM703", None, Level.WARNING, f"celery {version} has {what}", hint)
    version, (fixed, what) = preflight.host.manager.supervisor_version, SUPERVISOR_HOLE
    if version and numbers(version) < fixed:
        detail = f"supervisor {version} may have {what}"
        yield Result("PM703", None, Level.WARNING, detail, "Upgrade supervisor to 3.3.3 or later.")


def commands_are_found(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM704."""
    for program in preflight.of_kind(Kind.COMMAND):
        assert isinstance(program.options, Command)
        if program.name in preflight.commands and preflight.commands[program.name] is None:
            word, path = program.options.argv[0], preflight.launches[program.name].environment.get("PATH", "")
            hint = f"Correct argv in [{program.key}], or install {word}; the program's PATH is {path}"
            detail = f"{preflight.user} cannot run {word}: not found, or not executable"
            yield Result("PM704", program.name, Level.CRITICAL, detail, hint)
        elif _lacks_subcommand(preflight, program):
            name = celery_subcommand(program)
            detail = f"the virtualenv's Celery has no command {name}, which [{program.key}] runs"
            other = f"Correct argv in [{program.key}], or install the package that adds the command."
            hint = preflight.install_hint(name) if name == FLOWER else other
            yield Result("PM704", program.name, Level.CRITICAL, detail, hint)
        if preflight.reload_commands.get(program.name, "") is None:
            word = program.options.reload_command[0]
            detail = f"{preflight.user} cannot run {word}, the reload_command: not found, or not executable"
            hint = f"Correct reload_command in [{program.key}], or install {word}; until then, procman reload fails."
            yield Result("PM704", program.name, Level.WARNING, detail, hint)


def _lacks_subcommand(preflight: PreflightFacts, program: Program) -> bool:
    path = preflight.commands.get(program.name)
    is_own = path is not None and Path(path).is_relative_to(preflight.project.virtualenv)
    return is_own and celery_subcommand(program) in preflight.unknown_subcommands


def environment_file_is_read(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM705: the file exists, is readable for the process that reads it, and sets only what it may."""
    file = preflight.environment_file
    if file is None:
        return
    for problem in file.problems:
        syntax = f"Correct {file.path}: one NAME=value per line, with the syntax of systemd's EnvironmentFile="
        yield Result("PM705", None, Level.CRITICAL, problem, file.remedy or syntax)
    for problem in file.refused:
        yield Result("PM705", None, Level.CRITICAL, problem, f"Remove the line from {file.path}.")
    if file.problems or file.refused:
        return
    place, user = preflight.places.get(file.path), preflight.project.user
    read_by_root = backend_named(preflight.project.backend).environment_file_read_by_root
    if place and user and not place.readable and not read_by_root:
        detail = f"{user} cannot read {file.path}, but under supervisord the program itself reads it"
        hint = f"chown root:{preflight.project.group or user} {file.path} && chmod 0640 {file.path}"
        yield Result("PM705", None, Level.CRITICAL, detail, hint)
    else:
        yield Result("PM705", None, Level.OK, f"{file.path} can be read")


def environment_file_is_private(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM706: no other user can read or change the environment file."""
    file = preflight.environment_file
    if file is None or not file.owner:
        return
    if file.mode & 0o002:
        detail = f"{file.path} has mode {file.mode:04o}: every user can change it, and so run code in the programs"
        yield Result("PM706", None, Level.CRITICAL, detail, f"chmod o-rwx {file.path}")
    elif not file.trusted:
        hint = "Correct the owner or mode; whoever can change it can run code in the programs (PYTHONPATH, LD_PRELOAD)."
        yield Result("PM706", None, Level.WARNING, f"other users can change {file.path}: {file.why}", hint)
    if file.mode & 0o004:
        detail = f"{file.path} has mode {file.mode:04o}: every user of this host can read its secrets"
        yield Result("PM706", None, Level.WARNING, detail, f"chmod o-rwx {file.path}")
