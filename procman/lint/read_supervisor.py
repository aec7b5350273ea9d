"""Read supervisord's files into the records that the rules of `check --lint` judge; the files are not trusted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from procman.accounts import named_user, user_name
from procman.backends.supervisor.configuration.effective import (
    Process,
    Settings,
    Supervisord,
    Unreadable,
    as_written,
    is_program,
    members,
    merged,
    own_value,
    processes_of,
    supervisord_of,
    unknown_names,
    value_of,
)
from procman.backends.supervisor.configuration.sections import Malformed, read_sections
from procman.init.importing.contents import content_of
from procman.init.importing.readers.read_supervisord import started_as, user_of
from procman.init.importing.readers.supervisord_environment import found_supervisord
from procman.init.importing.readers.supervisord_files import Configuration, configurations
from procman.lint.find_celery import is_open, recognise, recognised
from procman.lint.inputs import YES, LogFile, Part, Reader, Recognised, Setting
from procman.model import Kind

LOGS = ("stdout_logfile", "stderr_logfile")


def supervisor_parts(files: Sequence[Path], environment: Mapping[str, str], root: Path) -> list[Part]:
    """Return every section of `files`, merged and expanded as supervisord does, and of the files that they include.

    `environment` is used for a supervisord that does not run; `root` is the root directory of the host. Raises
    ProcmanError.
    """
    broken = {file: part for file in files if (part := _broken(file))}
    intact = [file for file in files if file not in broken]
    try:
        found = configurations(intact, environment, root)
    except Malformed as error:
        # In a file that one of them includes: read what was named.
        broken[error.path] = _unreadable(error)
        found = [_alone(intact)]
    return [*broken.values(), *(part for each in found for part in _parts(each, environment))]


def _broken(file: Path) -> Part | None:
    try:
        read_sections(file, content_of(file))
    except Malformed as error:
        return _unreadable(error)
    return None


def _unreadable(error: Malformed) -> Part:
    return Part(Reader.SUPERVISOR, error.path, error.line, error.path.name, files=(error.path,), unreadable=error.why)


def _alone(files: Sequence[Path]) -> Configuration:
    settings = merged((file, read_sections(file, content_of(file))) for file in files)
    return Configuration(files[0].parent, tuple(settings), frozenset(files), tuple(files))


def _parts(configuration: Configuration, environment: Mapping[str, str]) -> list[Part]:
    supervisord = _supervisord(configuration, environment)
    settings = [each for each in configuration.settings if configuration.given & {*each.files}]
    parts = [_part(supervisord, each) for each in settings]
    celery = {each.name for each, part in zip(settings, parts, strict=True) if part.celery}
    return [_group(part, each, celery) for each, part in zip(settings, parts, strict=True)]


def _supervisord(configuration: Configuration, environment: Mapping[str, str]) -> Supervisord:
    try:
        return found_supervisord(configuration, environment)[0]
    except Unreadable:
        # Its own section has a mistake, which concerns the values of its variables only.
        programs = [each for each in configuration.settings if each.header != "[supervisord]"]
        return supervisord_of(programs, environment, configuration.here)


def _part(supervisord: Supervisord, section: Settings) -> Part:
    settings = tuple(Setting(name, each.value, each.file, each.line) for name, each in section.options.items())
    opened = frozenset(filter(is_open, section.files))
    part = Part(Reader.SUPERVISOR, section.file, section.line, section.header[1:-1], settings, section.files, opened)
    if section.header == "[supervisord]":
        return replace(part, variables=_placed(part, _own_variables(section)))
    return _with_command(part, supervisord, section) if is_program(section) else part


def _with_command(part: Part, supervisord: Supervisord, section: Settings) -> Part:
    process = _process(supervisord, section)
    # Only what the file itself has: a value from the environment of supervisord is no secret in it.
    known = {name: value for name, value in supervisord.expansions.items() if not name.startswith("ENV_")}
    written = _process(replace(supervisord, expansions=known, environment={}), section)
    return replace(
        part,
        command=part.find("command"),
        started=_started(supervisord, section, process),
        logs=tuple(_logs(part, supervisord, section)),
        variables=_placed(part, written.environment),
        manager_user=named_user(_own_user(supervisord)),
    )


def _process(supervisord: Supervisord, section: Settings) -> Process:
    """Return the first process; if supervisord could not read an option of it, with the options as they are written."""
    try:
        found = processes_of(supervisord, section)
    except Unreadable:
        found = []
    if found:
        return found[0]
    written = {name: each.value for name, each in section.options.items()}
    pairs = (pair.partition("=") for pair in written.get("environment", "").split(","))
    variables = {name.strip(): value.strip().strip("'\"") for name, equals, value in pairs if equals}
    return Process(section.name, written.get("command", ""), variables, written.get("directory", ""))


def _started(supervisord: Supervisord, section: Settings, process: Process) -> Recognised:
    words = _words(process.command)
    try:
        user, _ = user_of(supervisord, section)
        found = started_as(supervisord, section, process, user)
    except Unreadable:
        return recognise(section.name, words, Path(process.directory or "/"), process.environment)
    return recognised(section.name, words, found.understood, process.environment)


def _own_variables(section: Settings) -> Mapping[str, str]:
    try:
        return supervisord_of([section], {}, section.file.parent).environment
    except Unreadable:
        return {}


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _own_user(supervisord: Supervisord) -> str:
    try:
        return own_value(supervisord, "user")
    except Unreadable:
        return ""


def _placed(part: Part, variables: Mapping[str, str]) -> Mapping[str, Setting]:
    setting = part.find("environment")
    known = {name: as_written(value, "") for name, value in variables.items()}
    return {name: replace(setting, value=value) for name, value in known.items()} if setting else {}


def _logs(part: Part, supervisord: Supervisord, section: Settings) -> Iterator[LogFile]:
    # supervisord ignores the file of a stream that it joins with the other one.
    joined = part.value("redirect_stderr") in YES
    for name in LOGS[:1] if joined else LOGS:
        setting, path = part.find(name), _log(supervisord, section, name)
        if setting and Path(path).is_absolute() and not path.startswith("/dev/"):
            directory = Path(path).parent
            yield LogFile(setting, directory, *owner_of(directory))


def _log(supervisord: Supervisord, section: Settings, option: str) -> str:
    try:
        path = value_of(supervisord, section, option)
    except Unreadable:
        return section.options[option].value
    return "" if unknown_names(path) else path


def owner_of(directory: Path) -> tuple[str, bool]:
    """Return the owner of `directory`, empty if unknown, and whether it is root."""
    try:
        uid = directory.stat().st_uid
    except OSError:
        return "", False
    return user_name(uid), uid == 0


def _group(part: Part, section: Settings, celery: set[str]) -> Part:
    is_celerys = part.is_group and celery & {*members(section)}
    return replace(part, started=Recognised(Kind.WORKER)) if is_celerys else part
