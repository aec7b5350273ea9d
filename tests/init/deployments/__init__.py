"""Process files of public deployments, reduced to what an import has to understand, in our own words and values.

Each directory has `files/`, the files as they are on the host, and `deployment.toml`, what an import has to make of
them. `@ROOT@` in a file is replaced by the directory into which the test copies `files/`; only paths that the import
has to read need it. The keys of `deployment.toml`:

    title       name and origin, for the table in the docs
    form        the format
    from        what `--from` is given, relative to files/
    not_celery  what runs beside Celery in these files, and stays as it is
    lost        what has no counterpart
    partly      why the import is not whole; not set if it is
    app         what the user has to name with --app
    fill_in     keys of [project] that only the user knows, with a value
    secrets     variables that have to end up in the environment file
    [[program]] every worker and beat: `celery`, its command in any order and form of the options, and any of name (as
                installed), key (its table), project (if the import makes several), user, group, directory, virtualenv,
                settings, environment (at least these variables), wrapper, nice, autostart, stop_timeout_seconds
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
ROOT = "@ROOT@"


@dataclass(frozen=True)
class Deployment:
    """One directory of this package."""

    name: str
    title: str
    form: str
    sources: tuple[str, ...]
    programs: tuple[Mapping[str, Any], ...]
    not_celery: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    partly: str = ""
    app: str | None = None
    fill_in: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = field(default=())


def deployments() -> list[Deployment]:
    """Return every deployment, by name."""
    return [_read(path.parent) for path in sorted(HERE.glob("*/deployment.toml"))]


def put_on_disk(name: str, root: Path) -> None:
    """Copy the files of the deployment `name` to `root`."""
    shutil.copytree(HERE / name / "files", root, dirs_exist_ok=True)
    for path in root.rglob("*"):
        if path.is_file():
            path.write_text(path.read_text(encoding="utf-8").replace(ROOT, str(root)), encoding="utf-8")


def _read(directory: Path) -> Deployment:
    found = tomllib.loads((directory / "deployment.toml").read_text(encoding="utf-8"))
    lists: dict[str, Any] = {name: tuple(found.pop(name, ())) for name in ("not_celery", "lost", "secrets")}
    sources, programs = tuple(found.pop("from")), tuple(found.pop("program"))
    return Deployment(directory.name, sources=sources, programs=programs, **lists, **found)


def table() -> str:
    """Return the table of docs/import.md."""
    rows = [f"| {each.title} | {each.form} | {_imported(each)} | {_without(each)} |" for each in deployments()]
    return "\n".join(["| deployment | format | imported | not imported |", "|---|---|---|---|", *rows])


def _imported(deployment: Deployment) -> str:
    if deployment.partly:
        return f"partly: {deployment.partly}"
    asked = " and ".join(f"`{key}`" for key in deployment.fill_in)
    return f"whole; asks for {asked}" if asked else "whole"


def _without(deployment: Deployment) -> str:
    beside = f"not Celery: {', '.join(deployment.not_celery)}" if deployment.not_celery else ""
    return "; ".join(filter(None, (*deployment.lost, beside))) or "-"
