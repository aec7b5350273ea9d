"""Import the Celery programs of a hand-written supervisord configuration (`init --from`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from procman.backends.supervisor.configuration.discovery import (
    command_of,
    environment_of,
    expanded,
    read_programs,
)
from procman.backends.supervisor.configuration.redaction import without_content
from procman.backends.supervisor.configuration.sections import Section
from procman.celery_cli.parse import CeleryCommand, read_command
from procman.celery_cli.start_script import LONGEST_SCRIPT, StartScript, read_script
from procman.host.temporary import is_emptied_at_boot
from procman.init.draft import Draft
from procman.init.import_options import take_environment, take_options
from procman.model import Kind

SHELL = re.compile(r"(ba|da|z|k)?sh")
NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Existing:
    """A worker or beat that supervisord runs now."""

    program: Section
    command: CeleryCommand
    environment: Mapping[str, str]
    directory: Path | None
    """None: the directory in which supervisord was started."""

    @property
    def header(self) -> str:
        """The header of its section."""
        return f"[program:{self.program.name}]"


def read_existing(draft: Draft, file: Path, here: Path, name: str | None, *, manages_supervisord: bool) -> None:
    """Put the Celery workers and beats of `file` into `draft`, and note what is not imported.

    `here` is the directory of supervisord's own file. `name` is the name of the project, by default derived from the
    names of the programs. `manages_supervisord`: whether the install will control the supervisord that reads `file`,
    without which it cannot adopt the programs.
    """
    sections = _merged(read_programs(file))
    found = [one for each in sections if each.kind == "program" and (one := _understand(draft, file, each, here))]
    name = name or _name_of(found)
    if name:
        draft.put("project", "name", name)
    names = {each.program.name for each in found}
    for section in sections:
        _note_section(draft, section, names)
    for existing in found:
        _take(draft, existing, _table(draft, existing, name or ""), here)
    _share_environment(draft)
    if found and manages_supervisord:
        draft.warn(f"supervisord still runs the programs of {file}: `procman install --replace {file}` adopts them")
    elif found:
        draft.warn(
            f"a supervisord that procman does not control still runs the programs of {file}: before the install, set "
            'mode = "existing" and configuration = PATH in [supervisor], with the path of the supervisord.conf that '
            "includes this file, or stop the programs there and move the file away"
        )
    else:
        draft.warn(f"{file}: no Celery worker or beat found")


def _merged(sections: list[Section]) -> list[Section]:
    merged: dict[tuple[str, str], Section] = {}
    for section in sections:
        key = (section.kind, section.name)
        before = merged.get(key)
        merged[key] = replace(before, options=(*before.options, *section.options)) if before else section
    return list(merged.values())


def _understand(draft: Draft, file: Path, program: Section, here: Path) -> Existing | None:
    try:
        words = command_of(program, here)
        environment = environment_of(program, here)
        directory = expanded(program, "directory", here)
    except ValueError as error:
        draft.warn(f"{file}:{program.line}: cannot parse [program:{program.name}]: {without_content(error)}")
        return None
    started = Path(directory) if directory else None
    command = read_command(words)
    if command:
        return Existing(program, command, {**environment, **command.environment}, started)
    text = script_of(words, started)
    script = read_script(text, started or Path("/"), environment) if "celery" in text else None
    return _from_script(draft, program, script, started) if script else None


def script_of(words: list[str], directory: Path | None) -> str:
    """Return the text of the script that `words` start; empty if there is none, or it cannot be read."""
    if words and SHELL.fullmatch(Path(words[0]).name):
        if words[1:2] == ["-c"] and len(words) > 2:
            return words[2]
        words = [word for word in words[1:] if not word.startswith("-")]
    path = (directory or Path("/")) / words[0] if words else Path("/")
    try:
        # Not a FIFO, which would block, nor a binary.
        content = path.read_bytes() if path.is_file() and path.stat().st_size <= LONGEST_SCRIPT else b""
    except OSError:
        return ""
    return content.decode("utf-8", "replace") if b"\0" not in content else ""


def _from_script(draft: Draft, program: Section, script: StartScript, started: Path | None) -> Existing | None:
    where = f"the start script of [program:{program.name}]"
    for problem in script.not_understood:
        draft.warn(f"{where}, {problem}")
    command = read_command(script.words)
    if command is None:
        draft.warn(f"{where}: no Celery worker or beat found")
        return None
    if script.virtualenv:
        command.project.setdefault("virtualenv", str(script.virtualenv))
    if script.umask:
        command.values.setdefault("umask", script.umask)
    for redirection in script.redirections:
        command.dropped[redirection] = "the process manager keeps and rotates the log"
    if not script.uses_exec:
        command.dropped["a shell without exec"] = "a stop reached only the shell, and Celery kept running"
    directory = script.directory if script.directory != Path("/") else started
    return Existing(program, command, {**script.environment, **command.environment}, directory)


def _name_of(found: list[Existing]) -> str | None:
    for ending in ("-celery-beat", "-celerybeat", "-beat", "-celery", "-worker"):
        for existing in found:
            name = existing.program.name.removesuffix(ending)
            if name != existing.program.name and NAME.fullmatch(name):
                return name
    return None


def _note_section(draft: Draft, section: Section, names: set[str]) -> None:
    header = f"[{section.kind}:{section.name}]"
    if section.kind == "group" and names & set(section.members()):
        draft.found("not imported", header, "supervisorctl cannot find a program in a group by its name alone")
    elif section.name not in names:
        draft.found("not imported", header, "not a Celery worker or beat")


def _table(draft: Draft, existing: Existing, name: str) -> str:
    """Return the table that the program becomes, and note a change of its name; `name` may not be known yet."""
    prefix = name or "NAME"
    if existing.command.kind is Kind.BEAT:
        key, table, becomes = "", "beat", f"{prefix}-celery-beat"
        if "beat" in draft.tables:
            draft.warn(f"{existing.header} is a second beat, which would send every task twice: it is not imported")
            table = ""
    else:
        key = existing.program.name.removeprefix(f"{name}-")
        key = re.sub(r"[^a-z0-9-]+", "-", key.lower()).strip("-")
        key = key if NAME.fullmatch(key) else f"worker-{key}".rstrip("-")
        table, becomes = f"worker.{key}", f"{prefix}-{key}"
    if table:
        note = "" if becomes == existing.program.name else f"its new name is {becomes}"
        draft.found("imported", f"{existing.header} becomes [{table}]", note)
    return table


def _take(draft: Draft, existing: Existing, table: str, here: Path) -> None:
    if not table:
        return
    draft.tables.setdefault(table, {})
    command = existing.command
    for key, value in _project_values(existing, here).items():
        before = draft.get("project", key)
        draft.put("project", key, value)
        if before is not None and before != str(value):
            draft.warn(
                f"{existing.header} has a different {key}, {value}: a project has only one, and {before} is used"
            )
    for key, value in command.values.items():
        # procman numbers the node names of instances itself.
        if not (key == "hostname" and "process_num" in existing.program.value("command")):
            draft.put(table, key, value)
    take_options(draft, existing.program, table)
    take_environment(draft, existing.header, existing.environment, table, existing.directory)
    for option, variable in command.moved.items():
        note = f"it becomes the variable {variable}, because every user can read command lines"
        draft.found("changed", f"{existing.header} {option}", note)
    for option, reason in command.dropped.items():
        draft.found("not imported", f"{existing.header} {option}", reason)
    for option, reason in command.doubtful.items():
        draft.warn(f"{existing.header} {option}: {reason}; it is not imported")
    _take_schedule(draft, existing)


def _project_values(existing: Existing, here: Path) -> dict[str, object]:
    values = dict(existing.command.project)
    directory = existing.directory
    if "directory" in values:
        directory = (directory or Path("/")) / str(values.pop("directory"))
    if directory:
        values["directory"] = directory
    user = expanded(existing.program, "user", here)
    if user and "user" not in values:
        values["user"] = user
    return values


def _take_schedule(draft: Draft, existing: Existing) -> None:
    command, directory = existing.command, existing.directory or Path("/")
    if command.with_beat:
        draft.tables.setdefault("beat", {})
        draft.found("imported", f"the beat inside {existing.header} becomes [beat]")
    if command.kind is not Kind.BEAT and not command.with_beat:
        return
    path = directory / (command.schedule_file or "celerybeat-schedule")
    if is_emptied_at_boot(path):
        note = "a boot empties this directory, and the times of the last runs would be lost"
        draft.found("not imported", f"{existing.header} schedule in {path.parent}", note)
    elif command.schedule_file:
        draft.put("beat", "schedule_file", path)
    else:
        note = "beat gets its own directory; copy the file there to keep the times of the last runs"
        draft.found("not imported", f"{existing.header} schedule in {path.parent}", note)


def _share_environment(draft: Draft) -> None:
    """Move the variables that all programs share to `[environment]`."""
    programs = [table for table in draft.tables if re.fullmatch(r"worker\.[^.]+|beat", table)]
    each = [draft.tables.get(f"{table}.environment", {}) for table in programs]
    for name, value in list(each[0].items()) if each else ():
        if all(other.get(name) == value for other in each):
            draft.tables.setdefault("environment", {})[name] = value
            for other in each:
                del other[name]
