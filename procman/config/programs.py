"""Reads the tables of workers, beat and commands; instances are expanded here, so that nothing later counts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from procman import celery_command
from procman.config import keys
from procman.config.document import Document, Table, did_you_mean
from procman.config.supervisor_options import FREE, RESERVED
from procman.config.systemd import read_directives
from procman.config.types import NAME_PATTERN, VARIABLE_PATTERN
from procman.model import Beat, Command, Directories, Program, Worker
from procman.quoting import unprintable
from procman.secrets import holds_password, is_secret

SUBTABLES = ("environment", "supervisor", "systemd")
DEFAULT_STOP_TIMEOUT_SECONDS = {"worker": 600, "beat": 60, "command": 60}

OWN_VARIABLES = {
    "DJANGO_SETTINGS_MODULE": "use the key settings in [project]",
    "PYTHONPATH": "use the key python_path in [project]",
    "VIRTUAL_ENV": "use the key virtualenv in [project]",
    "PYTHONHOME": "it breaks the virtualenv",
    "C_FORCE_ROOT": "Celery refuses to run as root for a reason: set the key user in [project]",
}
"""Variables that are procman's to set, each with what to do instead."""


def read_programs(
    document: Document, project: str, directories: Directories, public: Collection[str]
) -> tuple[Program, ...]:
    """Return the programs in starting order: workers, commands, beat; problems go to DOCUMENT."""
    reader = _Reader(document, project, directories, public)
    programs = [*reader.workers(), *reader.commands(), *reader.beat()]
    if not programs and not document.problems:
        document.complain(
            "worker", "nothing to run: write a table such as [worker.celery], and [beat] for periodic tasks"
        )
    return tuple(programs)


class _Reader:
    def __init__(self, document: Document, project: str, directories: Directories, public: Collection[str]) -> None:
        self.document = document
        self.project = project
        self.directories = directories
        self.public = public
        root = document.root
        self.defaults = self._defaults(document.table(root.get("defaults", {}), "defaults"))
        self.environment = self._environment(root.get("environment", {}), "environment")

    def workers(self) -> Iterator[Program]:
        """Yield the programs of every [worker.KEY]."""
        for key, where, table in self._named("worker"):
            values = self._values(table, where, "worker")
            self._check_arguments(values["extra_arguments"], where)
            for name, suffix in self._instances(key, values["instances"]):
                yield self._program(
                    name, where, table, values, _worker(values, _node_name(values["hostname"], name, suffix))
                )

    def commands(self) -> Iterator[Program]:
        """Yield the programs of every [command.KEY]."""
        for key, where, table in self._named("command"):
            values = self._values(table, where, "command")
            argv = values["argv"] or ()
            if "argv" in table and not argv:
                self.document.complain(
                    f"{where}.argv", 'expected at least one word, such as ["celery", "-A", "mysite", "flower"]'
                )
            self._check_passwords(argv, f"{where}.argv")
            for name, _ in self._instances(key, values["instances"]):
                yield self._program(name, where, table, values, Command(argv))

    def beat(self) -> Iterator[Program]:
        """Yield the program of [beat], if there is one."""
        if "beat" not in self.document.root:
            return
        table = self.document.table(self.document.root["beat"], "beat")
        values = self._values(table, "beat", "beat")
        self._check_arguments(values["extra_arguments"], "beat")
        yield self._program(f"{self.project}-celery-beat", "beat", table, values, self._beat(values))

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
            where = f"defaults.{name}"
            if name not in keys.DEFAULTS_TABLES:
                self.document.complain(where, "unknown table" + did_you_mean(name, keys.DEFAULTS_TABLES))
            else:
                found[name] = self.document.read(self.document.table(value, where), where, keys.DEFAULTS_TABLES[name])
        return found

    def _named(self, kind: str) -> Iterator[tuple[str, str, Table]]:
        for key, value in self.document.table(self.document.root.get(kind, {}), kind).items():
            where = f"{kind}.{key}"
            if not isinstance(value, Mapping):
                self.document.complain(where, f"expected a table: write [{kind}.NAME], such as [{kind}.celery]")
            elif not re.fullmatch(NAME_PATTERN, key):
                self.document.complain(
                    where, "expected a name of small letters, digits and '-', beginning with a letter"
                )
            else:
                yield key, where, value

    def _values(self, table: Table, where: str, kind: str) -> dict[str, Any]:
        known = keys.SINGLE_TABLES.get(kind) or keys.NAMED_TABLES[kind]
        values: dict[str, Any] = {key.name: key.default for key in known}
        values["stop_timeout_seconds"] = DEFAULT_STOP_TIMEOUT_SECONDS[kind]
        for defaults in (self.defaults.get("program", {}), self.defaults.get(kind, {})):
            values |= {name: value for name, value in defaults.items() if name in values}
        values |= self.document.read(table, where, known, SUBTABLES)
        self.document.require(table, where, known)
        return values

    def _instances(self, key: str, count: int) -> Iterator[tuple[str, str]]:
        name = f"{self.project}-{key}"
        if count == 1:
            yield name, ""
            return
        for number in range(1, count + 1):
            yield f"{name}-{number}", f"-{number}"

    def _program(
        self, name: str, where: str, table: Table, values: Mapping[str, Any], options: Worker | Beat | Command
    ) -> Program:
        return Program(
            name=name,
            key=where,
            options=options,
            autostart=values["autostart"],
            stop_timeout_seconds=values["stop_timeout_seconds"],
            start_seconds=values["start_seconds"],
            nice=values["nice"],
            umask=_umask(values["umask"]),
            log_max_mib=values["log_max_mib"],
            log_backups=values["log_backups"],
            launcher=values["launcher"],
            environment={**self.environment, **self._environment(table.get("environment", {}), f"{where}.environment")},
            supervisor_options=self._supervisor_options(table.get("supervisor", {}), f"{where}.supervisor"),
            memory_high_mib=values["memory_high_mib"],
            memory_max_mib=values["memory_max_mib"],
            cpu_weight=values["cpu_weight"],
            tasks_max=values["tasks_max"],
            systemd_directives=read_directives(self.document, table.get("systemd", {}), f"{where}.systemd"),
        )

    def _environment(self, value: object, where: str) -> dict[str, str]:
        table = self.document.table(value, where)
        found: dict[str, str] = {}
        for name, text in table.items():
            problem = self._variable_problem(name, text)
            if problem:
                self.document.complain(f"{where}.{name}", problem)
            else:
                found[name] = str(text)
        return found

    def _variable_problem(self, name: str, value: object) -> str | None:
        if not re.fullmatch(VARIABLE_PATTERN, name):
            return "expected the name of an environment variable: letters, digits and _"
        if name in OWN_VARIABLES:
            return f"not possible here: {OWN_VARIABLES[name]}"
        if name.startswith("PROCMAN_"):
            return "not possible here: names that begin with PROCMAN_ are procman's own"
        if not isinstance(value, str):
            return f'expected a text in quotes, such as {name} = "1"'
        found = unprintable(value)
        if found:
            return f"expected a text of one line; it holds a {found}"
        if is_secret(name, value) and name not in self.public:
            return (
                "this is a secret, and what procman writes can be read by others: put it into the file that the key "
                f'environment_file in [project] names; if it is none, write public = ["{name}"] in [project]'
            )
        return None

    def _supervisor_options(self, value: object, where: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, text in self.document.table(value, where).items():
            problem = _option_problem(name, text)
            if problem:
                self.document.complain(f"{where}.{name}", problem)
            else:
                found[name] = str(text).lower() if isinstance(text, bool) else str(text)
        return found

    def _check_arguments(self, arguments: Collection[str], where: str) -> None:
        for argument in arguments:
            objection = celery_command.objection(argument)
            if objection:
                self.document.complain(f"{where}.extra_arguments", objection)
        self._check_passwords(arguments, f"{where}.extra_arguments")

    def _check_passwords(self, words: Collection[str], where: str) -> None:
        if any(holds_password(word) for word in words):
            self.document.complain(
                where,
                "it holds a password, and everybody on the host can read a command line: "
                "put it into the file that the key environment_file in [project] names",
            )


def _option_problem(name: str, value: object) -> str | None:
    if name in RESERVED:
        return f"not possible: {RESERVED[name]}"
    if name not in FREE:
        return "supervisord knows no such option and would ignore it silently" + did_you_mean(name, FREE)
    if not isinstance(value, str | int):
        return "expected a text, a whole number, true or false"
    found = unprintable(str(value))
    return f"expected a text of one line; it holds a {found}" if found else None


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
