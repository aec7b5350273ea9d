"""Put existing programs into the draft of a procman.toml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from procman.celery_cli.running import BEAT_INSIDE
from procman.celery_cli.write import objections
from procman.host.temporary import is_emptied_at_boot
from procman.init.draft import Discovery, Draft, keys_of
from procman.init.importing.existing import Existing, Remark
from procman.init.importing.names import program_key
from procman.init.importing.projects import project_values
from procman.init.importing.variables import take_files, take_variables
from procman.init.importing.variables_files import VariablesFile, variables_of
from procman.model import BackendName, Kind
from procman.secrets import holds_password
from procman.sources import INIT_D, SYSTEMD

Files = Mapping[Path, VariablesFile]

HARMLESS_UNITS = {"network.target", "network-online.target", "syslog.target", "remote-fs.target", "local-fs.target"}
"""Targets that every host has; systemd starts them before any service that starts at boot, or nearly any."""

SCHEDULER = "--scheduler="


def take_project(draft: Draft, programs: Sequence[Existing], files: Files, *, has_systemd: bool) -> None:
    """Put what the programs have in common into `[project]`, before the rest of it is searched for.

    `has_systemd`: whether systemd runs the host, and so its init scripts.
    """
    for existing in programs:
        values = project_values(existing, variables_of(existing.environment_files, files))
        for key, value in values.items():
            _put(draft, existing, "project", key, value)
    schemes = {each.source.scheme if each.source else "" for each in programs}
    if schemes == {SYSTEMD} or (has_systemd and schemes <= {SYSTEMD, INIT_D}):
        draft.put("project", "backend", BackendName.SYSTEMD.value, "systemd runs the imported programs.")
    units = dict.fromkeys(unit for each in programs for unit in each.after if unit not in HARMLESS_UNITS)
    if units:
        _put(draft, programs[0], "project", "after", list(units))


def take_programs(draft: Draft, programs: Sequence[Existing], files: Files) -> dict[str, tuple[Existing, ...]]:
    """Give each program its table, and return which programs each table comes from; the project has its name."""
    tables: dict[str, tuple[Existing, ...]] = {}
    for existing in sorted(programs, key=_is_beat):
        table = _table(draft, existing, tables)
        if table:
            tables[table] = (*tables.get(table, ()), existing)
    for table, sources in tables.items():
        draft.tables.setdefault(table, {})
        _take_program(draft, sources[0], table)
        draft.import_remarks += _take_schedule(draft, sources[0], table, has_beat="beat" in tables)
    for table, adopts in _adopted(tables).items():
        _put(draft, tables[table][0], table, "adopts", adopts)
    pairs = [(sources[0], table) for table, sources in tables.items()]
    inside = [(existing, "beat") for existing, _ in pairs if "beat" not in tables and _has_beat(existing)]
    take_files(draft, [*pairs, *inside], files)
    return tables


def _adopted(tables: Mapping[str, tuple[Existing, ...]]) -> dict[str, list[str]]:
    """Return the sources that each table adopts: one that runs several programs stops for the first that starts."""
    owners = {
        str(each.source): table for table in sorted(tables, reverse=True) for each in tables[table] if each.source
    }
    found: dict[str, list[str]] = {}
    for source, table in owners.items():
        found.setdefault(table, []).append(source)
    return found


def became(tables: Mapping[str, tuple[Existing, ...]], project: str) -> Iterator[Discovery]:
    """Yield the table that each program became, with its new name if it has one; `project` is the project's name."""
    for table, sources in tables.items():
        key = "celery-beat" if table == "beat" else table.removeprefix("worker.")
        for existing in sources:
            note = _new_name(existing, f"{project}-{key}")
            if existing.command and existing.command.with_beat:
                note = f"{note}, and its beat becomes [beat]".removeprefix(", and ")
            yield Discovery("imported", f"{existing.label} becomes [{table}]", note)


def _new_name(existing: Existing, name: str) -> str:
    instances = existing.values.get("instances", 1)
    if isinstance(instances, int) and instances > 1:
        return f"its new names are {name}-1 to {name}-{instances}"
    return "" if existing.name == name else f"its new name is {name}"


def _is_beat(existing: Existing) -> bool:
    return existing.command is not None and existing.command.kind is Kind.BEAT


def _has_beat(existing: Existing) -> bool:
    return existing.command is not None and existing.command.with_beat


def _table(draft: Draft, existing: Existing, tables: Mapping[str, tuple[Existing, ...]]) -> str:
    """Return the table that the program becomes; empty if it is not imported."""
    if not _is_beat(existing):
        instances = existing.values.get("instances", 1)
        project = draft.text("project", "name") or "NAME"
        taken = [each.removeprefix("worker.") for each in tables]
        key = program_key(existing.name, project, taken, instances if isinstance(instances, int) else 1)
        return f"worker.{key}"
    first = tables.get("beat", (existing,))[0]
    if first is not existing and _beats_differ(first, existing):
        consequence = f"a second beat, with another schedule than {first.label}: only one is imported"
        draft.import_remarks.append(Remark(existing.place, existing.label, consequence, doubtful=True))
        return ""
    if first is not existing:
        consequence = f"a second beat, which sends every task twice: [beat] replaces it and {first.label}"
        draft.import_remarks.append(Remark(existing.place, existing.label, consequence, changed=True))
    return "beat"


def _beats_differ(one: Existing, other: Existing) -> bool:
    assert one.command
    assert other.command
    return (one.command.values, one.command.schedule_file) != (other.command.values, other.command.schedule_file)


def _take_program(draft: Draft, existing: Existing, table: str) -> None:
    command = existing.command
    assert command
    values = {**command.values, **existing.values}
    if existing.wrapper:
        values["wrapper"] = list(existing.wrapper)
    if "extra_arguments" in values:
        values["extra_arguments"] = _accepted(draft, existing, values["extra_arguments"])
    for key, value in values.items():
        if value not in (None, (), []):
            _put(draft, existing, table, key, value)
    for name, options in (("supervisor", existing.supervisor_options), ("systemd", existing.systemd_directives)):
        if options:
            draft.tables.setdefault(f"{table}.{name}", {}).update(options)
    take_variables(draft, existing, table)
    draft.import_remarks += [*existing.remarks, *_of_command(existing)]


def _put(draft: Draft, existing: Existing, table: str, key: str, value: object) -> None:
    """Set a key, or add a remark if the value is not one that procman.toml can have; a first value is kept."""
    known = keys_of(table)
    problem = known[key].type.problem(_plain(value), Path("/")) if key in known else f"[{table}] has no such key"
    if problem:
        draft.import_remarks.append(Remark(existing.place, f"{key} = {value}", problem, doubtful=True))
    elif known[key].default is None or known[key].default != _plain(value):
        draft.put(table, key, value)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _accepted(draft: Draft, existing: Existing, arguments: object) -> list[str]:
    """Return the words that `extra_arguments` may contain; a refused option goes with its value."""
    assert isinstance(arguments, list | tuple)
    assert existing.command
    words = [str(word) for word in arguments]
    accepted: list[str] = []
    is_refused = False
    for number, word in enumerate(words):
        if word == "--":
            # Settings of the app follow.
            return [*accepted, *words[number:]]
        if word.startswith("-"):
            found = objections([word], existing.command.kind)
            is_refused = bool(found)
            draft.import_remarks += [Remark(existing.place, word, each, doubtful=True) for each in found]
        if not is_refused:
            accepted.append(word)
    return accepted


def _of_command(existing: Existing) -> Iterator[Remark]:
    """Yield what Celery's own options become that have no key."""
    command = existing.command
    assert command
    for option, variable in command.moved.items():
        consequence = f"it becomes the variable {variable}, because every user can read command lines"
        yield Remark(existing.place, option, consequence, changed=True)
    for option, reason in command.dropped.items():
        if option in BEAT_INSIDE:
            # The worker becomes two tables.
            continue
        yield Remark(existing.place, _without_secret(option), reason)
    for option, reason in command.doubtful.items():
        yield Remark(existing.place, _without_secret(option), reason, doubtful=True)


def _without_secret(option: str) -> str:
    return option.partition("=")[0] if holds_password(option) else option


def _take_schedule(draft: Draft, existing: Existing, table: str, *, has_beat: bool) -> Iterator[Remark]:
    command, directory = existing.command, existing.directory or Path("/")
    assert command
    if command.with_beat and has_beat:
        consequence = "a second beat, inside a worker, which sends every task twice: [beat] replaces both"
        yield Remark(existing.place, "-B", consequence, changed=True)
        return
    if command.with_beat:
        _begin_beat(draft, existing, table)
    elif command.kind is not Kind.BEAT:
        return
    path = directory / (command.schedule_file or "celerybeat-schedule")
    what = f"schedule in {path.parent}"
    if is_emptied_at_boot(path):
        yield Remark(existing.place, what, "a boot empties this directory and loses the times of the last runs")
    elif command.schedule_file:
        _put(draft, existing, "beat", "schedule_file", path)
    elif not draft.get("beat", "scheduler"):
        note = "beat gets its own directory; copy the file there to keep the times of the last runs"
        yield Remark(existing.place, what, note)


def _begin_beat(draft: Draft, existing: Existing, table: str) -> None:
    """Give the beat inside the worker of `table` what it had there."""
    draft.tables.setdefault("beat", {})
    for key in ("loglevel", "umask", "nice", "autostart", "wrapper"):
        value = draft.get(table, key)
        if value is not None:
            draft.put("beat", key, value)
    _move_scheduler(draft, existing, table)
    take_variables(draft, existing, "beat")


def _move_scheduler(draft: Draft, existing: Existing, table: str) -> None:
    """Give the beat the scheduler of its worker, which has no use for it without a beat inside."""
    arguments = draft.tables[table].pop("extra_arguments", [])
    assert isinstance(arguments, list)
    given = [word for word in arguments if word.startswith(SCHEDULER)]
    others = [word for word in arguments if word not in given]
    if others:
        draft.put(table, "extra_arguments", others)
    if given:
        _put(draft, existing, "beat", "scheduler", given[-1].removeprefix(SCHEDULER))
