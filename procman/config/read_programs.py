"""Read the tables of workers, beat and commands, and expand their instances."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from procman.celery_cli import write
from procman.config import keys
from procman.config.document import Document, Table, did_you_mean
from procman.config.instances import PLACEHOLDER, instances, placeholder_problem, with_number
from procman.config.keys import Key
from procman.config.read_environment import read_environment
from procman.config.read_file import NAME_PATTERN
from procman.config.read_systemd import read_directives
from procman.config.supervisor_options import read_options
from procman.config.toml_lines import dotted
from procman.model import Directories, HealthSettings, Kind
from procman.project import Beat, Command, KubernetesProgram, Program, Worker
from procman.secrets import words_hold_password

OF_HEALTH = {key.field for key in keys.PROGRAM} & {key.field for key in keys.HEALTH}
"""The keys of `[health]` that a program can override."""

DEFAULT_STOP_TIMEOUT_SECONDS = {"worker": 600, "command": 60, "beat": 60}
"""By kind, in starting order."""


def read_programs(
    document: Document, project: str, directories: Directories, public: Collection[str], health: HealthSettings
) -> tuple[Program, ...]:
    """Return the programs in starting order (workers, commands, beat), and note problems in `document`."""
    reader = _Reader(document, project, directories, public, health)
    programs = [program for kind in DEFAULT_STOP_TIMEOUT_SECONDS for program in reader.programs(kind)]
    is_empty = all(document.root.get(kind, {}) == {} for kind in keys.NAMED_TABLES) and "beat" not in document.root
    if is_empty and all(name in keys.TABLES for name in document.root):
        document.add_problem(
            "worker", "nothing to run: add a table such as [worker.celery], and [beat] for periodic tasks"
        )
    return tuple(programs)


@dataclass
class _Reader:
    document: Document
    project: str
    directories: Directories
    public: Collection[str]
    health: HealthSettings

    def __post_init__(self) -> None:
        document, root = self.document, self.document.root
        self.defaults = self._defaults(document.table(root.get("defaults", {}), "defaults", "defaults.worker"))
        self.environment = read_environment(document, root.get("environment", {}), "environment", self.public)

    def programs(self, kind: str) -> Iterator[Program]:
        """Yield the programs of all tables of `kind`."""
        for key, where, table in self._tables(kind):
            values = self._values(table, where, kind)
            environment, tables = self._environment(table, where), self._subtables(table, where, kind)
            common, is_command = _only(keys.PROGRAM, values), kind == "command"
            if is_command:
                self._check_placeholders(values, environment, where)
            numbered = instances(f"{self.project}-{key}", values.get("instances", 1), values.get("first_instance", 1))
            for name, suffix, number in numbered:
                options = self._options(kind, values, name, suffix, number)
                own = {each: with_number(text, number) if is_command else text for each, text in environment.items()}
                yield Program(
                    name=name, key=where, options=options, environment=self.environment | own, **common, **tables
                )

    def _options(
        self, kind: str, values: Mapping[str, Any], name: str, suffix: str, number: int
    ) -> Worker | Beat | Command:
        match kind:
            case "worker":
                return Worker(
                    **_only(keys.WORKER, values) | {"node_name": _node_name(values["node_name"], name, suffix)}
                )
            case "command":
                return _command(values, number)
            case _:
                return self._beat(Beat(**_only(keys.BEAT, values)))

    def _beat(self, beat: Beat) -> Beat:
        if beat.schedule_file or (beat.scheduler and not beat.scheduler.endswith("PersistentScheduler")):
            return beat
        return replace(beat, schedule_file=self.directories.data / "celerybeat-schedule")

    def _defaults(self, table: Table) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, value in table.items():
            where = f"defaults.{dotted(name)}"
            if name in keys.DEFAULTS_TABLES:
                table = self.document.table(value, where)
                found[name] = self.document.read(table, where, keys.DEFAULTS_TABLES[name])
                self._check_words(found[name], where, name)
            else:
                what = "table" if isinstance(value, Mapping) else "key"
                self.document.add_problem(where, f"unknown {what}{did_you_mean(name, keys.DEFAULTS_TABLES)}")
        return found

    def _tables(self, kind: str) -> Iterator[tuple[str, str, Table]]:
        """Yield the name, the path and the content of each table of `kind`."""
        if kind == "beat":
            if kind in self.document.root:
                yield "celery-beat", kind, self.document.section(kind)
            return
        for key, value in self.document.table(self.document.root.get(kind, {}), kind, f"{kind}.NAME").items():
            where = f"{kind}.{dotted(key)}"
            table = self.document.table(value, where, f"{kind}.NAME")
            if not table and not isinstance(value, Mapping):
                continue
            if not re.fullmatch(NAME_PATTERN, key):
                self.document.add_problem(
                    where, "expected a name of lowercase letters, digits and '-', starting with a letter"
                )
            yield key, where, table

    def _values(self, table: Table, where: str, kind: str) -> dict[str, Any]:
        known = keys.SINGLE_TABLES.get(kind) or keys.NAMED_TABLES[kind]
        values: dict[str, Any] = {key.field: key.value for key in known}
        values |= {name: getattr(self.health, name) for name in OF_HEALTH}
        values["stop_timeout_seconds"] = DEFAULT_STOP_TIMEOUT_SECONDS[kind]
        for defaults in (self.defaults.get("program", {}), self.defaults.get(kind, {})):
            values |= {name: value for name, value in defaults.items() if name in values}
        own = self.document.read(table, where, known, keys.SUBTABLES)
        self._check_words(own, where, kind)
        self.document.require(table, where, known)
        return values | own

    def _environment(self, table: Table, where: str) -> dict[str, str]:
        return read_environment(self.document, table.get("environment", {}), f"{where}.environment", self.public)

    def _subtables(self, table: Table, where: str, kind: str) -> dict[str, Any]:
        options, directives = (table.get(name, {}) for name in ("supervisor", "systemd"))
        document, is_command = self.document, kind == "command"
        return {
            "supervisor_options": read_options(document, options, f"{where}.supervisor", is_command=is_command),
            "systemd_directives": read_directives(document, directives, f"{where}.systemd", is_command=is_command),
            "kubernetes": self._kubernetes(table, f"{where}.kubernetes"),
        }

    def _kubernetes(self, table: Table, where: str) -> KubernetesProgram:
        own = self.document.table(table.get("kubernetes", {}), where)
        return KubernetesProgram(**self.document.read_all(own, where, keys.KUBERNETES_PROGRAM))

    def _check_placeholders(self, values: Mapping[str, Any], environment: Mapping[str, str], where: str) -> None:
        texts = [(name, word) for name in ("argv", "reload_command") for word in values[name] or ()]
        texts += [(name, str(values[name])) for name in ("stdout", "stderr")]
        texts += [(f"environment.{name}", text) for name, text in environment.items()]
        for name, text in texts:
            if problem := placeholder_problem(text):
                self.document.add_problem(f"{where}.{name}", problem)
        same = [(name, str(values[name])) for name in ("directory", "environment_file")]
        same += [("wrapper", word) for word in values["wrapper"]]
        for name, text in same:
            if PLACEHOLDER.search(text):
                problem = (
                    "{instance} is not replaced here, only in argv, reload_command, stdout, stderr and environment"
                )
                self.document.add_problem(self.document.setting(where, name), problem)

    def _check_words(self, values: Mapping[str, Any], where: str, kind: str) -> None:
        arguments = values.get("extra_arguments", ())
        for objection in write.objections(arguments, Kind.BEAT if kind == "beat" else Kind.WORKER):
            self.document.add_problem(f"{where}.extra_arguments", objection)
        for name in ("extra_arguments", "argv", "reload_command", "wrapper"):
            if words_hold_password(values.get(name, ())):
                self.document.add_problem(
                    f"{where}.{name}",
                    "it contains a password, and every user of the host can read a command line: "
                    "put it into the file named by environment_file in [project]",
                )


def _command(values: Mapping[str, Any], number: int) -> Command:
    words = {
        name: tuple(with_number(word, number) for word in values[name] or ()) for name in ("argv", "reload_command")
    }
    logs = {name: Path(with_number(str(values[name]), number)) for name in ("stdout", "stderr") if values[name]}
    return Command(**_only(keys.COMMAND, values) | words | logs, number=number)


def _only(fields: Collection[Key], values: Mapping[str, Any]) -> dict[str, Any]:
    return {key.field: values[key.field] for key in fields}


def _node_name(hostname: str | None, program: str, suffix: str) -> str:
    if hostname is None:
        return f"{program}@%h"
    name, at, host = hostname.partition("@")
    return f"{name}{suffix}{at}{host}"
