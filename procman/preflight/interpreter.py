"""PM70x: the virtualenv's Python, Celery in it, the commands and the environment file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procman.backends import backend_named
from procman.model import Kind, Level, Result
from procman.preflight.inputs import PreflightFacts
from procman.project import Command

OLDEST_CELERY, NEWER_CELERY = (4, 4), (6,)
"""What procman is tested with, and from where on nobody knows."""

CELERY_HOLE = ((5, 2, 2), "CVE-2021-23727: whoever can write to the result backend can have the worker run commands")
"""The first version without it, and what it is."""

SUPERVISOR_HOLE = ((3, 3, 3), "CVE-2017-11610: whoever may use its socket or port can run commands as supervisord")


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the start of a version: (5, 2, 0) of 5.2.0rc1."""
    return tuple(int(number) for number in re.findall(r"\d+", re.match(r"[\d.]*", version)[0]))  # type: ignore[index]


def python_starts(preflight: PreflightFacts) -> Iterator[Result]:
    """The virtualenv's Python starts as the user of the programs."""
    python, found = preflight.project.virtualenv / "bin" / "python", preflight.interpreter
    if found.version:
        yield Result("PM701", None, Level.OK, f"{python}: Python {found.version}")
    elif found.error:
        hint = found.hint or "Make the virtualenv anew, or mend the key virtualenv in [project]."
        yield Result("PM701", None, Level.CRITICAL, found.error, hint)


def celery_is_there(preflight: PreflightFacts) -> Iterator[Result]:
    """Celery is in the virtualenv, in a version that procman knows."""
    app = preflight.facts()
    if app is None:
        if any("No module named 'celery'" in each.error for each in preflight.asked):
            hint = preflight.install_hint("celery")
            yield Result("PM702", None, Level.CRITICAL, "Celery is not in the virtualenv", hint)
        return
    version = app.versions.get("celery", "")
    versions = ", ".join(f"{name} {found}" for name, found in app.versions.items())
    if version and not OLDEST_CELERY <= numbers(version) < NEWER_CELERY:
        hint = "Use one of those, or try the install on another host first."
        detail = f"procman is tested with Celery 4.4 to 5.7, and this is {version}"
        yield Result("PM702", None, Level.WARNING, detail, hint)
    else:
        yield Result("PM702", None, Level.OK, versions)


def no_known_holes(preflight: PreflightFacts) -> Iterator[Result]:
    """Celery and supervisord are in no version with a known hole."""
    app = preflight.facts()
    version, (mended, what) = app.versions.get("celery", "") if app else "", CELERY_HOLE
    if version and numbers(version) < mended:
        hint = "Upgrade to celery 5.2.2 or later; until then let nobody else write to the result backend."
        yield Result("PM703", None, Level.WARNING, f"celery {version} has {what}", hint)
    version, (mended, what) = preflight.host.manager.supervisor_version, SUPERVISOR_HOLE
    if version and numbers(version) < mended:
        detail = f"supervisor {version} may have {what}"
        yield Result("PM703", None, Level.WARNING, detail, "Upgrade supervisor to 3.3.3 or later.")


def commands_are_found(preflight: PreflightFacts) -> Iterator[Result]:
    """The first word of each command is a program that the user can run."""
    for program in preflight.of_kind(Kind.COMMAND):
        assert isinstance(program.options, Command)
        if program.name in preflight.commands and preflight.commands[program.name] is None:
            word, path = program.options.argv[0], preflight.launches[program.name].environment.get("PATH", "")
            hint = f"Mend argv in [{program.key}], or install it. PATH there is {path}"
            yield Result("PM704", program.name, Level.CRITICAL, f"{word} is not found, or may not be run", hint)


def environment_file_is_read(preflight: PreflightFacts) -> Iterator[Result]:
    """The environment file is there, can be read by who will read it, and is understood."""
    file = preflight.environment_file
    if file is None:
        return
    for problem in file.problems:
        syntax = f"Its syntax is that of systemd's EnvironmentFile=: NAME=value, one on a line. Look at {file.path}."
        yield Result("PM705", None, Level.CRITICAL, problem, file.remedy or syntax)
    if file.problems:
        return
    place, user = preflight.places.get(file.path), preflight.project.user
    read_by_root = backend_named(preflight.project.backend).environment_file_read_by_root
    if place and user and not place.readable and not read_by_root:
        detail = f"{file.path}: {user} cannot read it, and under supervisord the program itself does"
        hint = f"chown root:{preflight.project.group or user} {file.path} && chmod 0640 {file.path}"
        yield Result("PM705", None, Level.CRITICAL, detail, hint)
    else:
        yield Result("PM705", None, Level.OK, f"{file.path} can be read")


def environment_file_is_private(preflight: PreflightFacts) -> Iterator[Result]:
    """Nobody else can read the environment file, or change it."""
    file = preflight.environment_file
    if file is None or not file.owner:
        return
    if file.mode & 0o002:
        detail = f"{file.path} has mode {file.mode:04o}: everybody can change it, and decide what the programs run"
        yield Result("PM706", None, Level.CRITICAL, detail, f"chmod o-rwx {file.path}")
    elif not file.trusted:
        hint = "Whoever can change it decides what the programs run (PYTHONPATH, LD_PRELOAD)."
        yield Result("PM706", None, Level.WARNING, f"{file.path} can be changed by others: {file.why}", hint)
    if file.mode & 0o004:
        detail = f"{file.path} has mode {file.mode:04o}: everybody on this host can read the secrets in it"
        yield Result("PM706", None, Level.WARNING, detail, f"chmod o-rwx {file.path}")
