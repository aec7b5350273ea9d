"""Read the systemd services of an existing deployment (`init --from`), with their drop-ins and instances."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from procman.accounts import account, named_group, named_user
from procman.backends.supervisor.configuration.effective import unknown
from procman.errors import ProcmanError
from procman.host.local_units import is_of_user
from procman.host.unit_words import CommandLine, NotClosed, TooLong, command_lines, with_specifiers, with_variables
from procman.init.importing.contents import content_of
from procman.init.importing.existing import Existing, Reading, Remark
from procman.init.importing.node_names import with_open_host
from procman.init.importing.readers.multi_nodes import with_nodes
from procman.init.importing.readers.read_init_d import of_script
from procman.init.importing.readers.unit_directives import imported, logs_of, stop_of
from procman.init.importing.readers.unit_environment import UnitEnvironment, environment_of, of_user, specifiers_of
from procman.init.importing.readers.unit_files import SERVICE, Placed, Unit, find_units
from procman.init.importing.readers.unknown_words import known_words
from procman.init.importing.understand import Understood, stopped_behind, understood, with_understood
from procman.sources import SYSTEMD, Source

LOOKS_LIKE_CELERY = re.compile(r"(?i)celery|worker|beat")


@dataclass(frozen=True)
class Started:
    """One command of ExecStart=."""

    setting: Placed
    line: CommandLine
    understood: Understood
    remarks: tuple[Remark, ...]
    """Without those of `understood`."""


def read(files: Sequence[Path], environment: Mapping[str, str], root: Path = Path("/")) -> Reading:
    """Return the programs of `files`: paths, names or patterns of services, or directories of them.

    `environment` is the caller's, for units of a user. `root` is the root directory of the host. Raises ProcmanError.
    """
    units, templates = find_units(files, root)
    readings = [_read_in_bounds(unit, environment, root) for unit in units]
    programs = tuple(program for each in readings for program in each.programs)
    own = {each.source.place for each in programs if each.command and each.source}
    return Reading(
        # procman itself orders its programs.
        tuple(replace(each, after=tuple(unit for unit in each.after if unit not in own)) for each in programs),
        (
            *(_template(path) for path in templates if "celery" in content_of(path)),
            *_logs([unit for unit in units if unit.name in own]),
        ),
        tuple(dict.fromkeys(file for each in readings for file in each.files)),
    )


def _template(path: Path) -> Remark:
    why = f"no instance is enabled here: name those that you use, such as {path.name.replace('@', '@NAME')}"
    return Remark(str(path), path.name, why, doubtful=True)


def _logs(units: Sequence[Unit]) -> Iterator[Remark]:
    """Yield one remark for the logs of all units."""
    settings = [each for unit in units for each in logs_of(unit)]
    if settings:
        names = sorted({each.name.partition(".")[2] for each in settings})
        why = "procman logs to the journal, each program under its own name: use the key log in [systemd] for files"
        yield Remark(str(settings[0]), ", ".join(names), why)


def _read_in_bounds(unit: Unit, environment: Mapping[str, str], root: Path) -> Reading:
    try:
        return _read(unit, environment, root)
    except TooLong as error:
        raise ProcmanError(f"{unit.fragment}: a setting cannot be read: {error}", hint="Fix that unit.") from None


def _read(unit: Unit, environment: Mapping[str, str], root: Path) -> Reading:
    script = unit.value("Unit.SourcePath")
    if Path(script).parent.name == "init.d":
        # systemd-sysv-generator(8) has made the unit of this script.
        return of_script(root / script.lstrip("/"), root)
    specifiers = specifiers_of(unit, environment)
    given = environment_of(unit, specifiers)
    started, remarks = started_by(unit, specifiers, given)
    commands = [_programs(unit, each, specifiers, given) for each in started]
    celery = _named_apart([each for each in commands if each[0].command or each[0].problem] or commands[:1])
    if not celery:
        celery = [_plain(unit, unit.last("Service.ExecStart"))]
    if celery[0].command or celery[0].problem:
        celery[0] = replace(celery[0], remarks=(*celery[0].remarks, *remarks, *given.remarks))
    was_read = [file for file in given.files if file not in given.unread]
    return Reading(tuple(celery), files=(*unit.files, *was_read))


def started_by(unit: Unit, specifiers: Mapping[str, str], given: UnitEnvironment) -> tuple[list[Started], list[Remark]]:
    """Return what the commands of `unit` start, and remarks on the lines that systemd ignores. Raises TooLong."""
    started, remarks = list[Started](), list[Remark]()
    for setting in unit.all("Service.ExecStart"):
        try:
            lines = command_lines(setting.value, specifiers)
        except NotClosed as error:
            remarks.append(Remark(str(setting), "ExecStart", f"systemd ignores the line: {error}", doubtful=True))
            continue
        started += [_started(unit, setting, line, specifiers, given) for line in lines]
    return started, remarks


def _named_apart(commands: Sequence[Sequence[Existing]]) -> list[Existing]:
    """Number the programs of a unit with several commands; the nodes of celery multi have names of their own."""
    names = [each.name for programs in commands for each in programs]
    return [
        each if names.count(each.name) == 1 else replace(each, name=f"{each.name}-{number}")
        for number, programs in enumerate(commands, 1)
        for each in programs
    ]


def _started(
    unit: Unit, setting: Placed, line: CommandLine, specifiers: Mapping[str, str], given: UnitEnvironment
) -> Started:
    user = _user(unit, line, specifiers)
    variables = {**of_user(user), **given.own, **given.of_files}
    words, lost = known_words(with_variables(line, lambda name: _value(name, variables, given)), "${{{}}}")
    words = with_open_host(words, [setting.value], ("%H", "%l"))
    remarks = [
        Remark(str(setting), each.text, f"{each.names[0]} comes from a file that could not be read", doubtful=True)
        for each in lost
    ]
    directory, more = _directory(unit, specifiers)
    found = understood(words, variables, directory, place=str(setting), user=user)
    return Started(setting, line, found, (*remarks, *more))


def _value(name: str, variables: Mapping[str, str], given: UnitEnvironment) -> str:
    # A variable that is not set is empty for systemd.
    return variables.get(name, unknown(name) if given.unread else "")


def _user(unit: Unit, line: CommandLine, specifiers: Mapping[str, str]) -> str | None:
    user = with_specifiers(unit.value("Service.User"), specifiers)
    return None if line.is_privileged or not user else named_user(user)


def _directory(unit: Unit, specifiers: Mapping[str, str]) -> tuple[Path | None, list[Remark]]:
    setting = unit.last("Service.WorkingDirectory")
    if setting is None:
        return None, []
    text = with_specifiers(setting.value.removeprefix("-"), specifiers)
    if text != "~":
        return Path(text), []
    user = named_user(with_specifiers(unit.value("Service.User"), specifiers)) or "root"
    entry = account(user)
    if entry:
        return Path(entry.pw_dir), []
    why = f"user {user} does not exist on this host, so its home directory is unknown"
    return None, [Remark(str(setting), "WorkingDirectory = ~", why, doubtful=True)]


def _plain(unit: Unit, setting: Placed | None) -> Existing:
    name, source = unit.name.removesuffix(SERVICE), Source(SYSTEMD, unit.name)
    file, line = (setting.file, setting.line) if setting else (unit.fragment, 1)
    return Existing(unit.name, name, file, line, (), stop=stop_of(unit), source=source)


def _programs(unit: Unit, started: Started, specifiers: Mapping[str, str], given: UnitEnvironment) -> list[Existing]:
    """Return what one command starts: one program, or the nodes of `celery multi`."""
    return [_of_unit(unit, each, specifiers) for each in with_nodes(_program(unit, started, specifiers, given))]


def _program(unit: Unit, started: Started, specifiers: Mapping[str, str], given: UnitEnvironment) -> Existing:
    found = started.understood
    # Those of the files stay in the files, and systemd sets those of the user again.
    stop, remarks = stopped_behind(found, stop_of(unit))
    others = {**of_user(_user(unit, started.line, specifiers)), **given.of_files}
    own = {name: value for name, value in found.environment.items() if others.get(name) != value}
    group = named_group(with_specifiers(unit.value("Service.Group"), specifiers)) or None
    whole = replace(_plain(unit, started.setting), user=_user(unit, started.line, specifiers), group=group)
    return replace(
        with_understood(whole, found),
        problem=found.problem or _problem(unit, found, given),
        environment=own,
        environment_files=tuple(dict.fromkeys((*given.files, *found.environment_files))),
        stop=stop,
        remarks=(*started.remarks, *remarks),
    )


def _of_unit(unit: Unit, program: Existing, specifiers: Mapping[str, str]) -> Existing:
    """Return `program` with what the other settings of its unit become."""
    if program.command is None:
        # Its problem is the only thing to report: nothing of it is imported, so nothing of it can be missing.
        return replace(program, remarks=())
    of_unit = imported(unit, program.command.kind, specifiers)
    return replace(
        program,
        values={**of_unit.values, **program.values},
        systemd_directives=of_unit.directives,
        after=of_unit.after,
        remarks=(*of_unit.remarks, *program.remarks),
    )


def _problem(unit: Unit, found: Understood, given: UnitEnvironment) -> str:
    """Return why a unit of Celery cannot be imported, or one that looks like it is not understood; else empty."""
    if found.command and os.geteuid() == 0 and is_of_user(unit.fragment):
        return "the systemd of a user runs it, not that of the host: run the same command as this user, without sudo"
    if found.command or not given.unread or not LOOKS_LIKE_CELERY.search(f"{unit.name} {' '.join(found.words)}"):
        return ""
    return f"its command has variables of a file that could not be read: {', '.join(map(str, given.unread))}"
