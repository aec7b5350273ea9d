"""Read units with their drop-ins into the records that the rules of `check --lint` judge; the files are not trusted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from procman.agent.environment_file import EnvironmentFileError, parse_environment_file
from procman.errors import ProcmanError
from procman.host.local_units import UNIT_DIRECTORIES
from procman.host.unit_names import unit_at
from procman.host.unit_words import TooLong, with_specifiers, words_of
from procman.init.importing.readers.read_units import Started, started_by
from procman.init.importing.readers.unit_environment import environment_of, specifiers_of
from procman.init.importing.readers.unit_files import Unit, find_units, unit_in
from procman.lint.find_celery import is_open, recognised
from procman.lint.inputs import LogFile, Part, Reader, Recognised, Setting
from procman.lint.read_supervisor import owner_of
from procman.secrets import is_secret

LARGEST_ENVIRONMENT_FILE = 1 << 20
OPENED_BY_ROOT = re.compile(r"(?:append|file|truncate):(/.*)")


def systemd_parts(files: Sequence[Path], environment: Mapping[str, str], root: Path) -> list[Part]:
    """Return the units that `files` define or are drop-ins of, each once; raise ProcmanError.

    `environment` is that of the caller, for units of a user; `root` is the root directory of the host.
    """
    units = {(unit.name, unit.fragment): unit for file in files for unit in _units(file, root)}
    return [_part_in_bounds(unit, environment) for unit in units.values()]


def _units(file: Path, root: Path) -> list[Unit]:
    """Return the unit in `file`; of a template its enabled instances, if it has some."""
    if file.suffix == ".conf":
        fragment = _fragment(file, root)
        return find_units([fragment], root)[0] or [unit_in(fragment, root)] if fragment else [unit_in(file, root)]
    if file.suffix != ".service":
        return [unit_in(file, root)]
    return find_units([file.absolute()], root)[0] or [unit_in(file, root)]


def _fragment(drop_in: Path, root: Path) -> Path | None:
    """Return the unit that `drop_in` is for, beside it or elsewhere on the host; None if it is not there."""
    name, directory = unit_at(drop_in), drop_in.absolute().parent.parent
    of_host = [root / each for each in UNIT_DIRECTORIES]
    places = of_host if directory in of_host else [directory]
    return next((place / name for place in places if (place / name).exists()), None) if name else None


def _part_in_bounds(unit: Unit, environment: Mapping[str, str]) -> Part:
    try:
        return _part(unit, environment)
    except TooLong as error:
        raise ProcmanError(f"{unit.fragment}: a setting cannot be read: {error}", hint="Fix that unit.") from None


def _part(unit: Unit, environment: Mapping[str, str]) -> Part:
    names = dict.fromkeys(each.name for each in unit.settings)
    effective = {(each.file, each.line, each.name) for name in names for each in unit.all(name)}
    settings = tuple(
        Setting(each.name, each.value, each.file, each.line)
        for each in unit.settings
        if (each.file, each.line, each.name) in effective
    )
    opened = frozenset(filter(is_open, unit.files))
    part = Part(Reader.SYSTEMD, unit.fragment, 1, unit.name, settings, unit.files, opened)
    specifiers = specifiers_of(unit, environment)
    variables, logs = _variables(settings), tuple(_logs(settings, specifiers))
    part = replace(part, variables=variables, logs=logs, exposed_files=tuple(_exposed_files(settings, specifiers)))
    given = environment_of(unit, specifiers)
    started, _ = started_by(unit, specifiers, given)
    known = [(each, _recognised(unit, each, {**given.own, **given.of_files})) for each in started]
    first = next((pair for pair in known if pair[1].kind), known[-1] if known else None)
    if first is None:
        return replace(part, command=part.find("Service.ExecStart"))
    at = first[0].setting
    return replace(part, command=Setting(at.name, at.value, at.file, at.line), started=first[1])


def _recognised(unit: Unit, started: Started, environment: Mapping[str, str]) -> Recognised:
    name, words, found = Path(unit.name).stem, started.line.words, started.understood
    as_started = recognised(name, words, found, environment)
    if as_started.kind or not found.scripts:
        return as_started
    # systemd drops a variable that is not set, such as the CELERY_BIN of an environment file of another host.
    text = words_of(started.setting.value)[-1]
    scripts = (replace(found.scripts[0], text=text), *found.scripts[1:])
    return recognised(name, words, replace(found, scripts=scripts), environment)


def _variables(settings: tuple[Setting, ...]) -> Mapping[str, Setting]:
    found = {}
    for setting in settings:
        if setting.name != "Service.Environment":
            continue
        try:
            words = shlex.split(setting.value)
        except ValueError:
            continue
        for word in words:
            name, equals, value = word.partition("=")
            if equals:
                found[name] = replace(setting, value=value)
    return found


def _logs(settings: tuple[Setting, ...], specifiers: Mapping[str, str]) -> Iterator[LogFile]:
    for setting in settings:
        path = OPENED_BY_ROOT.fullmatch(with_specifiers(setting.value, specifiers))
        if setting.name in ("Service.StandardOutput", "Service.StandardError") and path:
            directory = Path(path[1]).parent
            yield LogFile(setting, directory, *owner_of(directory))


def _exposed_files(settings: tuple[Setting, ...], specifiers: Mapping[str, str]) -> Iterator[tuple[Setting, Path]]:
    for setting in settings:
        path = Path(with_specifiers(setting.value, specifiers).removeprefix("-"))
        is_named = setting.name == "Service.EnvironmentFile" and path.is_absolute()
        if is_named and is_open(path) and _holds_secret(path):
            yield setting, path


def _holds_secret(path: Path) -> bool:
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_ENVIRONMENT_FILE:
            return False
        variables = parse_environment_file(path.read_bytes().decode("utf-8", "surrogateescape"))
    except (OSError, EnvironmentFileError):
        return False
    return any(is_secret(name, value) for name, value in variables.items())
