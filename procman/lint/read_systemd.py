"""Read a unit or drop-in into the records that the rules of `check --lint` judge; the file is not trusted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from procman.agent.environment_file import EnvironmentFileError, parse_environment_file
from procman.host.unit_file import settings_of
from procman.lint.find_celery import is_open, recognise
from procman.lint.inputs import LogFile, Part, Reader, Setting
from procman.lint.read_supervisor import owner_of
from procman.secrets import is_secret

LARGEST_ENVIRONMENT_FILE = 1 << 20
OPENED_BY_ROOT = re.compile(r"(?:append|file|truncate):(/.*)")


def systemd_part(file: Path, text: str) -> Part:
    """Return the unit or drop-in `file`, whose content is `text`."""
    settings = tuple(Setting(f"{each.section}.{each.name}", each.value, each.line) for each in settings_of(text))
    part = Part(Reader.SYSTEMD, file, 1, file.name, settings, is_open(file))
    command = part.find("Service.ExecStart")
    variables = _variables(settings)
    part = replace(
        part, variables=variables, logs=tuple(_logs(settings)), exposed_files=tuple(_exposed_files(settings))
    )
    if command is None or not command.value:
        return part
    directory = part.find("Service.WorkingDirectory")
    started = Path(directory.value if directory and directory.value.startswith("/") else "/")
    environment = {name: setting.value for name, setting in variables.items()}
    found = recognise(file.stem, _words(command.value), started, environment)
    return replace(part, command=command, started=found)


def _words(value: str) -> list[str]:
    # systemd.service(5): the prefixes allowed before the executable's path.
    value = value.lstrip("-@:+!| ")
    try:
        return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(value)]
    except ValueError:
        return value.split()


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


def _logs(settings: tuple[Setting, ...]) -> Iterator[LogFile]:
    for setting in settings:
        path = OPENED_BY_ROOT.fullmatch(setting.value)
        if setting.name in ("Service.StandardOutput", "Service.StandardError") and path:
            directory = Path(path[1]).parent
            yield LogFile(setting, directory, *owner_of(directory))


def _exposed_files(settings: tuple[Setting, ...]) -> Iterator[tuple[Setting, Path]]:
    for setting in settings:
        path = Path(setting.value.removeprefix("-"))
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
