"""Reads procman.toml into a Project; every problem is reported in one run (U1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from procman.config import consistency, keys, programs, systemd
from procman.config.directories import directories_for
from procman.config.document import Document, Table, did_you_mean
from procman.errors import ConfigurationError, ProcmanError
from procman.model import BackendName, Directories, Project, Scope, SupervisorMode, SupervisorSettings

TABLES = ("project", "defaults", "environment", "worker", "beat", "command", "supervisor", "systemd")


def load(path: Path, environment: Mapping[str, str]) -> Project:
    """Return the project that the file PATH describes.

    ENVIRONMENT is the caller's; only user scope looks at it, for the XDG directories. Raises ConfigurationError with
    every problem.
    """
    path = path.absolute()
    document = Document(path, read_text(path))
    for name in document.root:
        if name not in TABLES:
            document.complain(name, "unknown table" + did_you_mean(name, TABLES))
    project = _project(document, environment)
    document.finish()
    return project


def read_text(path: Path) -> str:
    """Return the text of the file PATH; ProcmanError says why it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path}: not UTF-8 at byte {error.start}"]) from None
    except OSError as error:
        raise ConfigurationError(
            [f"{path}: cannot be read: {error.strerror}"], hint="`procman init` writes one."
        ) from None


def _project(document: Document, environment: Mapping[str, str]) -> Project:
    table = document.table(document.root.get("project", {}), "project")
    values: dict[str, Any] = {key.name: key.default for key in keys.PROJECT}
    values |= document.read(table, "project", keys.PROJECT)
    document.require(table, "project", keys.PROJECT)
    scope = Scope(values["scope"])
    directories = _directories(document, values, scope, environment)
    settings = _supervisor(document, directories)
    project = Project(
        name=values["name"] or "project",
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
        supervisor=settings,
        systemd=systemd.read_settings(document),
        directories=directories,
        programs=programs.read_programs(document, values["name"] or "project", directories, values["public"]),
    )
    consistency.check(document, project)
    return project


def _directories(
    document: Document, values: Mapping[str, Any], scope: Scope, environment: Mapping[str, str]
) -> Directories:
    name = values["name"] or "project"
    try:
        return directories_for(name, scope, environment)
    except ProcmanError as error:
        document.complain("project.scope", error.message)
        return directories_for(name, Scope.SYSTEM, {})


def _supervisor(document: Document, directories: Directories) -> SupervisorSettings:
    table: Table = document.table(document.root.get("supervisor", {}), "supervisor")
    values: dict[str, Any] = {key.name: key.default for key in keys.SUPERVISOR}
    values |= document.read(table, "supervisor", keys.SUPERVISOR)
    if values["mode"] == "embedded":
        for name in ("configuration", "include"):
            if name in table:
                document.complain(f"supervisor.{name}", 'not allowed with mode = "embedded": procman writes that file')
        own = directories.shared_configuration / "supervisor"
        return SupervisorSettings(SupervisorMode.EMBEDDED, own / "supervisord.conf", str(own / "conf.d" / "*.conf"))
    configuration: Path = values["configuration"] or Path("/etc/supervisor/supervisord.conf")
    include = str(values["include"] or keys.INCLUDES.get(str(configuration), ""))
    supervisor = "[supervisor]" if "supervisor" in document.root else "no [supervisor] table"
    if not include:
        document.complain(
            "supervisor.include",
            f"missing: {configuration} is no file of Debian's or Red Hat's ({supervisor}); "
            'write the pattern that stands in its [include] section, such as "/etc/supervisor/conf.d/*.conf"',
        )
    elif Path(include).name.count("*") != 1 or "*" in str(Path(include).parent):
        document.complain(
            "supervisor.include", 'expected a directory and a file pattern with one *, such as "/etc/x/*.conf"'
        )
    return SupervisorSettings(SupervisorMode.EXISTING, configuration, include or "/etc/supervisor/conf.d/*.conf")
