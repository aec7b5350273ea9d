"""Read a supervisord file into the records that the rules of `check --lint` judge; the file is not trusted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from procman.accounts import user_name
from procman.backends.supervisor.configuration.discovery import command_of, environment_of, expanded
from procman.backends.supervisor.configuration.sections import PROGRAM_KINDS, Malformed, Section, read_sections
from procman.lint.find_celery import is_open, recognise
from procman.lint.inputs import LogFile, Part, Reader, Recognised, Setting
from procman.model import Kind

LOGS = ("stdout_logfile", "stderr_logfile")


def supervisor_parts(file: Path, text: str) -> list[Part]:
    """Return every section of `file`, whose content is `text`."""
    try:
        sections = read_sections(file, text)
    except Malformed as error:
        return [Part(Reader.SUPERVISOR, file, error.line, file.name, (), False, unreadable=error.why)]
    world_readable = is_open(file)
    parts = [_part(file, section, world_readable) for section in sections]
    celery = {part.name.partition(":")[2] for part in parts if part.celery}
    return [_group(part, celery) if part.name.startswith("group:") else part for part in parts]


def owner_of(directory: Path) -> tuple[str, bool]:
    """Return the owner of `directory`, empty if unknown, and whether it is root."""
    try:
        uid = directory.stat().st_uid
    except OSError:
        return "", False
    return user_name(uid), uid == 0


def _part(file: Path, section: Section, world_readable: bool) -> Part:
    settings = tuple(Setting(option.name, option.value, option.line) for option in section.options)
    part = Part(Reader.SUPERVISOR, file, section.line, section.header, settings, world_readable)
    if section.kind not in PROGRAM_KINDS:
        return part
    return _with_command(part, section)


def _with_command(part: Part, program: Section) -> Part:
    here = part.file.parent
    directory = _expanded(program, "directory", here) or "/"
    variables = _variables(program, here)
    found = recognise(program.name, _words(program, here), Path(directory), variables)
    setting = part.find("environment")
    return replace(
        part,
        command=part.find("command"),
        started=found,
        logs=tuple(_logs(part, program, here)),
        variables={name: replace(setting, value=value) for name, value in variables.items()} if setting else {},
    )


def _words(program: Section, here: Path) -> list[str]:
    try:
        return command_of(program, here)
    except ValueError:
        # It has an expansion that only supervisord can fill in; read the rest.
        try:
            return shlex.split(program.value("command"))
        except ValueError:
            return program.value("command").split()


def _variables(program: Section, here: Path) -> Mapping[str, str]:
    try:
        return environment_of(program, here)
    except ValueError:
        raw = program.value("environment")
        pairs = (pair.partition("=") for pair in raw.split(","))
        return {name.strip(): value.strip().strip("'\"") for name, equals, value in pairs if equals}


def _expanded(program: Section, option: str, here: Path) -> str:
    try:
        return expanded(program, option, here)
    except ValueError:
        return program.value(option)


def _logs(part: Part, program: Section, here: Path) -> Iterator[LogFile]:
    for name in LOGS:
        setting = part.find(name)
        path = _expanded(program, name, here)
        if setting and Path(path).is_absolute() and not path.startswith("/dev/"):
            directory = Path(path).parent
            yield LogFile(setting, directory, *owner_of(directory))


def _group(part: Part, celery: set[str]) -> Part:
    members = {member.strip() for member in part.value("programs").split(",")}
    return replace(part, started=Recognised(Kind.WORKER)) if members & {name.lower() for name in celery} else part
