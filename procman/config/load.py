"""Read procman.toml into a Project, and report all problems in one run (U1).

Validation is written by hand: importing pydantic takes 60 ms, loading a file 46.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from procman.backends import backend_named
from procman.backends.base import ExportTarget
from procman.config import cross_checks, keys, read_health, read_programs, read_systemd
from procman.config.absolute_paths import check_absolute
from procman.config.directories import directories_for
from procman.config.document import Document, unknown
from procman.config.read_file import read_text
from procman.config.toml_lines import dotted
from procman.errors import ConfigurationError
from procman.model import Directories, Scope, SupervisorMode, SupervisorSettings
from procman.project import KubernetesSettings, Project

DEBIAN = "/etc/supervisor/supervisord.conf"


def load(
    path: Path,
    environment: Mapping[str, str],
    text: str | None = None,
    target: ExportTarget | None = None,
    directory: Path | None = None,
) -> Project:
    """Return the project that the file `path` describes; `text`, if given, replaces its present content.

    `environment` is the caller's, in which only user scope reads the XDG variables. `target` is the export target that
    the project is rendered for, by default its backend. Relative paths start from `directory`, by default that of the
    file; with it, `path` is only a name for messages. Raises ConfigurationError with all problems.
    """
    path = path if directory else path.absolute()
    document = Document(path, read_text(path) if text is None else text, directory)
    for name, value in document.root.items():
        if name not in keys.TABLES:
            document.add_problem(dotted(name), unknown(name, value, keys.TABLES))
    project = _project(document, environment, target)
    document.finish()
    return project


def _project(document: Document, environment: Mapping[str, str], target: ExportTarget | None) -> Project:
    values = _project_values(document)
    name, scope = values["name"], values["scope"]
    directories, homeless = _directories(name, scope, environment)
    health = read_health.read_settings(document)
    project = Project(
        **values,
        configuration_file=document.path,
        supervisor=_supervisor(document, scope, directories),
        systemd=read_systemd.read_settings(document),
        kubernetes=KubernetesSettings(
            **document.read_all(document.section("kubernetes"), "kubernetes", keys.KUBERNETES)
        ),
        health=health,
        directories=directories,
        programs=read_programs.read_programs(document, name, directories, values["public"], health),
    )
    if target:
        check_absolute(document)
    cross_checks.check(document, project, (target or backend_named(project.backend)).rules)
    if homeless:
        document.add_problem("project.scope", homeless)
    return project


def _project_values(document: Document) -> dict[str, Any]:
    """Return the values of `[project]`; a missing required key gets a placeholder, so that the rest is read too."""
    if "project" in document.root:
        table = document.section("project")
        if table or isinstance(document.root["project"], Mapping):
            document.require(table, "project", keys.PROJECT)
    else:
        table = {}
        required = ", ".join(key.name for key in keys.PROJECT if key.required)
        document.add_problem("project", f"missing: add a table [project] with {required} and, in system scope, user")
    values = document.read_all(table, "project", keys.PROJECT)
    anything = {"name": "project", "app": "app", **dict.fromkeys(("directory", "virtualenv"), document.directory)}
    return values | {name: value for name, value in anything.items() if values[name] is None}


def _directories(name: str, scope: Scope, environment: Mapping[str, str]) -> tuple[Directories, str]:
    """Return the directories and the problem with them; if there is one, the directories are those of the host."""
    try:
        return directories_for(name, scope, environment), ""
    except ConfigurationError as error:
        return directories_for(name, Scope.SYSTEM, {}), error.message


def _supervisor(document: Document, scope: Scope, directories: Directories) -> SupervisorSettings:
    table = document.section("supervisor")
    values = document.read_all(table, "supervisor", keys.SUPERVISOR)
    mode = values["mode"] or (SupervisorMode.EXISTING if scope is Scope.SYSTEM else SupervisorMode.EMBEDDED)
    if mode is SupervisorMode.EXISTING:
        return _existing_supervisor(document, scope, values)
    for name in ("configuration", "include"):
        if name in table:
            document.add_problem(
                f"supervisor.{name}",
                'only allowed with mode = "existing": procman writes the file of its own supervisord',
            )
    if values["extend_stop_timeout"]:
        document.add_problem(
            "supervisor.extend_stop_timeout",
            'only allowed with mode = "existing": the unit of procman\'s own supervisord waits long enough',
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
            'missing: with scope = "user", name the file of your own supervisord, or set mode = "embedded"',
        )
    configuration: Path = values["configuration"] or Path(DEBIAN)
    include = values["include"] or keys.INCLUDES.get(str(configuration))
    if include is None and document.is_valid("supervisor.include"):
        document.add_problem(
            "supervisor.include",
            f"missing: copy the pattern from the [include] section of {configuration}, "
            f'such as "{keys.INCLUDES[DEBIAN]}"',
        )
    if values["supervisord"] is not None:
        document.add_problem(
            "supervisor.supervisord",
            'only allowed with mode = "embedded": procman does not start an existing supervisord',
        )
    extend = bool(values["extend_stop_timeout"])
    if extend and (scope is Scope.USER or str(configuration) not in keys.SUPERVISOR_UNITS):
        document.add_problem(
            "supervisor.extend_stop_timeout",
            "only possible for the host's supervisord with the configuration file "
            f"{' or '.join(keys.SUPERVISOR_UNITS)}: remove it, and write the drop-in yourself (systemctl edit)",
        )
    return SupervisorSettings(
        SupervisorMode.EXISTING, configuration, include or keys.INCLUDES[DEBIAN], extend_stop_timeout=extend
    )
