"""Reads procman.toml into a Project; every problem is reported in one run (U1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from procman.config import cross_checks, keys, read_health, read_programs, read_systemd
from procman.config.directories import directories_for
from procman.config.document import Document, Table, unknown
from procman.config.read_file import read_text
from procman.config.toml_lines import dotted
from procman.errors import ConfigurationError
from procman.model import BackendName, Directories, Scope, SupervisorMode, SupervisorSettings
from procman.project import Project

DEBIAN = "/etc/supervisor/supervisord.conf"


def load(path: Path, environment: Mapping[str, str], text: str | None = None) -> Project:
    """Return the project that the file PATH describes; TEXT, if given, is what it said at an earlier time.

    ENVIRONMENT is the caller's; only user scope looks at it, for the XDG directories. Raises ConfigurationError with
    every problem.
    """
    path = path.absolute()
    document = Document(path, read_text(path) if text is None else text)
    for name, value in document.root.items():
        if name not in keys.TABLES:
            document.add_problem(dotted(name), unknown(name, value, keys.TABLES))
    project = _project(document, environment)
    document.finish()
    return project


def _project(document: Document, environment: Mapping[str, str]) -> Project:
    values = _project_values(document)
    scope = Scope(values["scope"])
    name = values["name"] or "project"
    directories, homeless = _directories(name, scope, environment)
    found_health = read_health.read_settings(document)
    project = Project(
        name=name,
        configuration_file=document.path,
        app=values["app"] or "app",
        directory=values["directory"] or document.path.parent,
        virtualenv=values["virtualenv"] or document.path.parent,
        settings=values["settings"],
        user=values["user"],
        group=values["group"],
        scope=scope,
        backend=BackendName(values["backend"]),
        environment_file=values["environment_file"],
        python_path=values["python_path"],
        writable_paths=values["writable_paths"],
        after=values["after"],
        templates=values["templates"],
        supervisor=_supervisor(document, scope, directories),
        systemd=read_systemd.read_settings(document),
        health=found_health,
        directories=directories,
        programs=read_programs.read_programs(document, name, directories, values["public"], found_health),
    )
    cross_checks.check(document, project)
    if homeless:
        document.add_problem("project.scope", homeless)
    return project


def _project_values(document: Document) -> dict[str, Any]:
    values: dict[str, Any] = {key.name: key.default for key in keys.PROJECT}
    if "project" not in document.root:
        required = ", ".join(key.name for key in keys.PROJECT if key.required)
        document.add_problem("project", f"missing: write a table [project] with {required} and, for the host, user")
        return values
    table = document.table(document.root["project"], "project")
    values |= document.read(table, "project", keys.PROJECT)
    if table or isinstance(document.root["project"], Mapping):
        document.require(table, "project", keys.PROJECT)
    return values


def _directories(name: str, scope: Scope, environment: Mapping[str, str]) -> tuple[Directories, str]:
    """Return the directories, and the problem with them if there is one; then they are those of the host."""
    try:
        return directories_for(name, scope, environment), ""
    except ConfigurationError as error:
        return directories_for(name, Scope.SYSTEM, {}), error.message


def _supervisor(document: Document, scope: Scope, directories: Directories) -> SupervisorSettings:
    table: Table = document.table(document.root.get("supervisor", {}), "supervisor")
    values: dict[str, Any] = {key.name: key.default for key in keys.SUPERVISOR}
    values |= document.read(table, "supervisor", keys.SUPERVISOR)
    mode = values["mode"] or ("existing" if scope is Scope.SYSTEM else "embedded")
    if mode == "existing":
        return _existing_supervisor(document, scope, values)
    for name in ("configuration", "include"):
        if name in table:
            document.add_problem(
                f"supervisor.{name}", 'only with mode = "existing": procman writes the file of its own supervisord'
            )
    if values["extend_stop_timeout"]:
        document.add_problem(
            "supervisor.extend_stop_timeout",
            'only with mode = "existing": the unit of procman\'s own supervisord waits long enough',
        )
    own = directories.shared_configuration / "supervisor"
    return SupervisorSettings(
        SupervisorMode.EMBEDDED,
        own / "supervisord.conf",
        str(own / "conf.d" / "*.conf"),
        supervisord=values["supervisord"],
    )


def _existing_supervisor(document: Document, scope: Scope, values: Mapping[str, Any]) -> SupervisorSettings:
    if scope is Scope.USER and values["configuration"] is None and document.is_valid("supervisor.configuration"):
        document.add_problem(
            "supervisor.configuration",
            'missing: with scope = "user" name your own supervisord\'s file, or write mode = "embedded"',
        )
    configuration: Path = values["configuration"] or Path(DEBIAN)
    include = values["include"] or keys.INCLUDES.get(str(configuration))
    if include is None and document.is_valid("supervisor.include"):
        document.add_problem(
            "supervisor.include",
            f"missing: write the pattern that stands in the [include] section of {configuration}, "
            f'such as "{keys.INCLUDES[DEBIAN]}"',
        )
    if values["supervisord"] is not None:
        document.add_problem("supervisor.supervisord", 'only with mode = "embedded": an existing one has its own start')
    extend = bool(values["extend_stop_timeout"])
    if extend and (scope is Scope.USER or str(configuration) not in keys.SUPERVISOR_UNITS):
        document.add_problem(
            "supervisor.extend_stop_timeout",
            f"procman knows the unit of the host's supervisord alone, if its file is "
            f"{' or '.join(keys.SUPERVISOR_UNITS)}: remove it, and write the drop-in yourself (systemctl edit)",
        )
    return SupervisorSettings(
        SupervisorMode.EXISTING, configuration, include or keys.INCLUDES[DEBIAN], extend_stop_timeout=extend
    )
