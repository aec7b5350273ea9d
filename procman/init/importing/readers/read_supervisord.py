"""Read the programs of supervisord's files (`init --from`), as supervisord itself would run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from procman.accounts import named_user
from procman.backends.supervisor.configuration.effective import (
    Process,
    Settings,
    Supervisord,
    Unreadable,
    as_written,
    count_of,
    is_program,
    members,
    own_value,
    processes_of,
    unknown_names,
    value_of,
)
from procman.celery_cli.multi import multi_at
from procman.errors import ProcmanError
from procman.init.importing.existing import Existing, Reading, Remark
from procman.init.importing.node_names import with_open_host
from procman.init.importing.readers.supervisor_options import READ_ELSEWHERE, TRUE, imported, logs_of, stop_of
from procman.init.importing.readers.supervisord_environment import found_supervisord, supposed_variables
from procman.init.importing.readers.supervisord_files import Configuration, configurations
from procman.init.importing.readers.unknown_words import known_words
from procman.init.importing.understand import Understood, stopped_behind, understood, with_understood
from procman.sources import SUPERVISOR, Source

MOST_PROCESSES = 5000
"""Of all programs that are read together."""

LOOKS_LIKE_CELERY = re.compile(r"(?i)celery|worker|beat")
AS_WRITTEN = ("process_name", "stdout_logfile", "stderr_logfile")
FROM_ENVIRONMENT = "{} comes from supervisord's environment, which is unknown here"


@dataclass(frozen=True)
class Started:
    """What one process of a program starts."""

    process: Process
    understood: Understood
    remarks: tuple[Remark, ...]
    """Without those of `understood`."""


def read(files: Sequence[Path], environment: Mapping[str, str], root: Path = Path("/")) -> Reading:
    """Return the programs of `files`: files of supervisord, directories of them, or patterns.

    A file with `[include]` stands for all that it includes. `environment` is the caller's: it is used for the variables
    of a supervisord that does not run, and its PATH finds the one of the host, whose root directory is `root`. Raises
    ProcmanError for a file that supervisord could not read.
    """
    readings = [_read(each, environment) for each in configurations(files, environment, root)]
    return Reading(
        tuple(program for each in readings for program in each.programs),
        tuple(remark for each in readings for remark in each.remarks),
        tuple(dict.fromkeys(file for each in readings for file in each.files)),
    )


def _read(configuration: Configuration, environment: Mapping[str, str]) -> Reading:
    try:
        supervisord, is_running = found_supervisord(configuration, environment)
    except Unreadable as error:
        raise ProcmanError(f"{error.place}: supervisord cannot read it: {error}", hint="Fix that line.") from None
    sections = [each for each in configuration.settings if is_program(each) and configuration.given & {*each.files}]
    _require_few(supervisord, sections)
    programs = [program for each in sections for program in _programs(supervisord, each)]
    names = {each.source.name for each in programs if each.command and each.source}
    celery = [each for each in sections if each.name in names]
    groups = [each for each in configuration.settings if each.kind == "group" and names & {*members(each)}]
    remarks = [
        *configuration.remarks,
        *_unknown_variables(supervisord),
        *(() if is_running else supposed_variables(supervisord, celery, environment)),
        *(_group_remark(each) for each in groups),
        *_logs(supervisord, celery),
    ]
    return Reading(tuple(programs), tuple(remarks), configuration.files)


def _require_few(supervisord: Supervisord, programs: Sequence[Settings]) -> None:
    total = 0
    for program in programs:
        # The problem of a program that cannot be read is reported with it.
        with suppress(Unreadable):
            total += count_of(supervisord, program)
    if total > MOST_PROCESSES:
        raise ProcmanError(f"{total} processes of supervisord are more than {MOST_PROCESSES}", hint="Name fewer files.")


def _unknown_variables(supervisord: Supervisord) -> Iterator[Remark]:
    for name, value in supervisord.environment.items():
        if unknown_names(value):
            yield _unknown(supervisord.options["environment"], f"[supervisord] environment {name}", value)


def _group_remark(group: Settings) -> Remark:
    return Remark(
        f"{group.file}:{group.line}", group.header, "supervisorctl cannot find a program in a group by its name alone"
    )


def _logs(supervisord: Supervisord, programs: Sequence[Settings]) -> Iterator[Remark]:
    """Yield one remark for the logs of all programs."""
    names = {name: program for program in reversed(programs) for name in logs_of(_options(supervisord, program)[0])}
    if names:
        first = next(iter(names))
        place = names[first].options[first]
        why = "root opens the log, so it must be in a directory that belongs to root; procman keeps one log per program"
        yield Remark(str(place), ", ".join(sorted(names)), why)


def _programs(supervisord: Supervisord, program: Settings) -> list[Existing]:
    try:
        options, remarks = _options(supervisord, program)
        user, more = user_of(supervisord, program)
        started = [started_as(supervisord, program, each, user) for each in processes_of(supervisord, program)]
    except Unreadable as error:
        return [replace(_plain(program), problem=f"{error.place}: supervisord cannot read it: {error}")]
    if not started:
        return []
    first = started[0].understood
    whole = replace(_plain(program), user=user, stop=stop_of(options), remarks=(*remarks, *more))
    if first.command is None:
        problem = first.problem or _problem(program, started[0])
        # Its problem is the only thing to report: nothing of it is imported, so nothing of it can be missing.
        return [replace(_with(whole, started[0], problem=problem), remarks=())]
    own = imported(options, first.command.kind)
    left = (Remark(_place(program, each.option), each.what, each.consequence, each.changed) for each in own.left)
    whole = replace(
        whole,
        values=own.values,
        supervisor_options=own.supervisor_options,
        remarks=(*whole.remarks, *left, *_several_files(program)),
    )
    return _apart(whole, program, started)


def _plain(program: Settings) -> Existing:
    source = Source(SUPERVISOR, str(program.file), program.name)
    return Existing(program.header, program.name, program.file, program.line, (), source=source)


def _place(program: Settings, option: str) -> str:
    return str(program.options.get(option) or f"{program.file}:{program.line}")


def started_as(supervisord: Supervisord, program: Settings, process: Process, user: str | None) -> Started:
    """Return what `process` of `program` starts as `user`. Raises Unreadable."""
    try:
        words, lost = known_words(shlex.split(process.command))
    except ValueError as error:
        raise Unreadable(program.options["command"], error) from None
    written = [program.options[name].value for name in ("command", "environment") if name in program.options]
    words = with_open_host(words, written, ("%(host_node_name)s",))
    place = _place(program, "command")
    remarks = [Remark(place, each.text, FROM_ENVIRONMENT.format(each.names[0]), doubtful=True) for each in lost]
    environment = {}
    for name, value in process.environment.items():
        if not unknown_names(value):
            environment[name] = value
        elif supervisord.environment.get(name) != value:
            remarks.append(_unknown(program.options["environment"], f"environment {name}", value))
    directory, more = _directory(supervisord, program, process)
    found = understood(words, environment, directory, place=place, user=user)
    return Started(process, found, (*remarks, *more))


def _unknown(place: object, what: str, value: str) -> Remark:
    return Remark(str(place), what, FROM_ENVIRONMENT.format(unknown_names(value)[0]), doubtful=True)


def _directory(supervisord: Supervisord, program: Settings, process: Process) -> tuple[Path | None, list[Remark]]:
    text = process.directory
    if not text and own_value(supervisord, "nodaemon").lower() not in TRUE:
        # A daemon changes to its own directory, and its programs start there.
        text = own_value(supervisord, "directory")
    if unknown_names(text):
        return None, [_unknown(_place(program, "directory"), f"directory = {as_written(text)}", text)]
    return (Path(text) if text else None), []


def user_of(supervisord: Supervisord, program: Settings) -> tuple[str | None, list[Remark]]:
    """Return the user of `program`, None if unknown or that of supervisord, and remarks. Raises Unreadable."""
    text = value_of(supervisord, program, "user") or own_value(supervisord, "user")
    if unknown_names(text):
        return None, [_unknown(_place(program, "user"), f"user = {as_written(text)}", text)]
    return named_user(text) or None, []


def _options(supervisord: Supervisord, program: Settings) -> tuple[dict[str, str], list[Remark]]:
    """Return the expanded options of `program`, and remarks on those that have an unknown variable."""
    options, remarks = {}, []
    for option, placed in program.options.items():
        if option in READ_ELSEWHERE:
            continue
        # supervisord expands the name and the logs of each process separately.
        value = placed.value if option in AS_WRITTEN else value_of(supervisord, program, option)
        if unknown_names(value):
            remarks.append(_unknown(placed, f"{option} = {as_written(value)}", value))
        else:
            options[option] = value
    return options, remarks


def _problem(program: Settings, started: Started) -> str:
    """Return why a program that looks like Celery's is not understood; empty if it does not."""
    if multi_at(started.understood.words) is not None:
        return "celery multi starts its workers in the background, where supervisord loses them"
    unknown = unknown_names(started.process.command)
    shown = as_written(started.process.command)
    if unknown and LOOKS_LIKE_CELERY.search(f"{program.name} {shown}"):
        return f"its command has %(ENV_{unknown[0]})s, which {FROM_ENVIRONMENT.format('').strip()}"
    return ""


def _several_files(program: Settings) -> Iterator[Remark]:
    others = [str(file) for file in program.files if file != program.file]
    if others:
        why = f"{', '.join(others)} has a section of the same name, which supervisord merges with this one"
        yield Remark(f"{program.file}:{program.line}", program.header, why, doubtful=True)


def _apart(whole: Existing, program: Settings, started: Sequence[Started]) -> list[Existing]:
    """Return the processes of a program as one with instances, or one by one if they differ in more than their name."""
    if len(started) == 1 or _is_alike(started):
        return [_numbered(_with(whole, started[0]), program, started)]
    values = {name: value for name, value in whole.values.items() if name != "instances"}
    alone = replace(whole, values=values)
    return [_with(replace(alone, name=each.process.name), each) for each in started]


def _is_alike(started: Sequence[Started]) -> bool:
    first, *others = map(_without_node_name, started)
    return all(each == first for each in others)


def _without_node_name(started: Started) -> object:
    found = started.understood
    command = found.command and replace(found.command, values={**found.command.values, "hostname": ""})
    return command, found.environment, found.directory, found.wrapper, found.values, found.user, found.group


def _numbered(one: Existing, program: Settings, started: Sequence[Started]) -> Existing:
    """Leave a node name with the number of the process to procman, which numbers those of instances itself."""
    if one.command is None or "hostname" not in one.command.values or len(started) == 1:
        return one
    names = {each.understood.command.values.get("hostname") for each in started if each.understood.command}
    if len(names) == 1:
        return one
    values = {name: value for name, value in one.command.values.items() if name != "hostname"}
    what = f"-n {one.command.values['hostname']}"
    remark = Remark(
        _place(program, "command"), what, "procman numbers the node names of instances itself", changed=True
    )
    return replace(one, command=replace(one.command, values=values), remarks=(*one.remarks, remark))


def _with(whole: Existing, started: Started, problem: str = "") -> Existing:
    found = started.understood
    stop, remarks = stopped_behind(found, whole.stop)
    return replace(
        with_understood(whole, found),
        problem=problem,
        stop=stop,
        remarks=(*whole.remarks, *started.remarks, *remarks),
    )
