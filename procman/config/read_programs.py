"""Reads the tables of workers, beat and commands; instances are expanded here, so that nothing later counts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from procman.celery_cli import write
from procman.config import keys
from procman.config.document import Document, Table, did_you_mean
from procman.config.read_environment import read_environment
from procman.config.read_file import NAME_PATTERN
from procman.config.read_systemd import read_directives
from procman.config.supervisor_options import read_options
from procman.config.toml_lines import dotted
from procman.model import Directories, HealthSettings, Kind
from procman.project import Beat, Command, Program, Worker
from procman.secrets import words_hold_password

OF_HEALTH = ("heal", "stall_seconds", "memory_restart_mib")
"""The keys of a program that `[health]` has too, for all of them."""

DEFAULT_STOP_TIMEOUT_SECONDS = {"worker": 600, "beat": 60, "command": 60}


def read_programs(
    document: Document, project: str, directories: Directories, public: Collection[str], health: HealthSettings
) -> tuple[Program, ...]:
    """Return the programs in starting order: workers, commands, beat; problems go to DOCUMENT."""
    reader = _Reader(document, project, directories, public, health)
    programs = [*reader.workers(), *reader.commands(), *reader.beat()]
    is_empty = all(document.root.get(kind, {}) == {} for kind in keys.NAMED_TABLES) and "beat" not in document.root
    if is_empty and all(name in keys.TABLES for name in document.root):
        document.add_problem(
            "worker", "nothing to run: write a table such as [worker.celery], and [beat] for periodic tasks"
        )
    return tuple(programs)


class _Reader:
    def __init__(
        self,
        document: Document,
        project: str,
        directories: Directories,
        public: Collection[str],
        health: HealthSettings,
    ) -> None:
        self.document = document
        self.project = project
        self.directories = directories
        self.public = public
        self.health = health
        root = document.root
        self.defaults = self._defaults(document.table(root.get("defaults", {}), "defaults", "defaults.worker"))
        self.environment = read_environment(document, root.get("environment", {}), "environment", public)

    def workers(self) -> Iterator[Program]:
        """Yield the programs of every [worker.KEY]."""
        for key, where, table in self._named("worker"):
            values = self._values(table, where, "worker")
            common = self._common(table, where, values)
            for name, suffix in self._instances(key, values["instances"]):
                options = _worker(values, _node_name(values["hostname"], name, suffix))
                yield Program(name=name, options=options, **common)

    def commands(self) -> Iterator[Program]:
        """Yield the programs of every [command.KEY]."""
        for key, where, table in self._named("command"):
            values = self._values(table, where, "command")
            common = self._common(table, where, values)
            for name, _ in self._instances(key, values["instances"]):
                yield Program(name=name, options=Command(values["argv"] or ()), **common)

    def beat(self) -> Iterator[Program]:
        """Yield the program of [beat], if there is one."""
        if "beat" in self.document.root:
            table = self.document.table(self.document.root["beat"], "beat")
            values = self._values(table, "beat", "beat")
            common = self._common(table, "beat", values)
            yield Program(name=f"{self.project}-celery-beat", options=self._beat(values), **common)

    def _beat(self, values: Mapping[str, Any]) -> Beat:
        scheduler = values["scheduler"]
        schedule_file: Path | None = values["schedule_file"]
        if schedule_file is None and (scheduler is None or scheduler.endswith("PersistentScheduler")):
            schedule_file = self.directories.data / "celerybeat-schedule"
        return Beat(
            values["loglevel"], schedule_file, scheduler, values["max_interval_seconds"], values["extra_arguments"]
        )

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

    def _named(self, kind: str) -> Iterator[tuple[str, str, Table]]:
        for key, value in self.document.table(self.document.root.get(kind, {}), kind, f"{kind}.NAME").items():
            where = f"{kind}.{dotted(key)}"
            table = self.document.table(value, where, f"{kind}.NAME")
            if not table and not isinstance(value, Mapping):
                continue
            if not re.fullmatch(NAME_PATTERN, key):
                self.document.add_problem(
                    where, "expected a name of small letters, digits and '-', beginning with a letter"
                )
            yield key, where, table

    def _values(self, table: Table, where: str, kind: str) -> dict[str, Any]:
        known = keys.SINGLE_TABLES.get(kind) or keys.NAMED_TABLES[kind]
        values: dict[str, Any] = {key.name: key.default for key in known}
        values["stop_timeout_seconds"] = DEFAULT_STOP_TIMEOUT_SECONDS[kind]
        for defaults in (self.defaults.get("program", {}), self.defaults.get(kind, {})):
            values |= {name: value for name, value in defaults.items() if name in values}
        own = self.document.read(table, where, known, keys.SUBTABLES)
        self._check_words(own, where, kind)
        self.document.require(table, where, known)
        return values | own

    def _check_words(self, values: Mapping[str, Any], where: str, kind: str) -> None:
        arguments = values.get("extra_arguments", ())
        for objection in write.objections(arguments, Kind.BEAT if kind == "beat" else Kind.WORKER):
            self.document.add_problem(f"{where}.extra_arguments", objection)
        for name in ("extra_arguments", "argv"):
            if words_hold_password(values.get(name, ())):
                self.document.add_problem(
                    f"{where}.{name}",
                    "it holds a password, and everybody on the host can read a command line: "
                    "put it into the file that the key environment_file in [project] names",
                )

    def _instances(self, key: str, count: int) -> Iterator[tuple[str, str]]:
        name = f"{self.project}-{key}"
        if count == 1:
            yield name, ""
            return
        for number in range(1, count + 1):
            yield f"{name}-{number}", f"-{number}"

    def _common(self, table: Table, where: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what all instances of a program have in common, whatever their kind."""
        read, document = {key.name: values[key.name] for key in keys.PROGRAM}, self.document
        for name in OF_HEALTH:
            read[name] = getattr(self.health, name) if read[name] is None else read[name]
        own = read_environment(document, table.get("environment", {}), f"{where}.environment", self.public)
        return read | {
            "key": where,
            "umask": _umask(values["umask"]),
            "environment": self.environment | own,
            "supervisor_options": read_options(document, table.get("supervisor", {}), f"{where}.supervisor"),
            "systemd_directives": read_directives(document, table.get("systemd", {}), f"{where}.systemd"),
        }


def _umask(value: int | str) -> int:
    return value if isinstance(value, int) else int(value, 8)


def _node_name(hostname: str | None, program: str, suffix: str) -> str:
    if hostname is None:
        return f"{program}@%h"
    name, at, host = hostname.partition("@")
    return f"{name}{suffix}{at}{host}"


def _worker(values: Mapping[str, Any], node_name: str) -> Worker:
    own = {key.name for key in keys.WORKER} - {"hostname", "instances"}
    return Worker(node_name=node_name, **{name: values[name] for name in own})
