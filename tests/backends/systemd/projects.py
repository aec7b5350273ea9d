"""Projects under systemd for the tests of this directory, from the text of a procman.toml."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from procman.backends.systemd.renderer import render
from procman.config.load import load
from procman.project import Project

TOML = """
[project]
name = "catmaid"
app = "mysite"
directory = "/opt/catmaid/django/projects"
virtualenv = "/opt/catmaid/django/env"
settings = "mysite.settings"
backend = "systemd"
{project}

[worker.celery]
{worker}

[beat]

[command.flower]
argv = ["celery", "-A", "mysite", "flower"]

[systemd]
{systemd}
"""

USER_SCOPE = 'scope = "user"'
SYSTEM_SCOPE = 'user = "www-data"'
HOME = {"HOME": "/home/anna"}


def project(worker: str = "", systemd: str = "", scope: str = SYSTEM_SCOPE, more: str = "", rest: str = "") -> Project:
    """Return the project with these lines in its tables; `more` are lines of `[project]`, `rest` is whole tables."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "procman.toml")
        path.write_text(TOML.format(project=f"{scope}\n{more}", worker=worker, systemd=systemd) + rest)
        return load(path, HOME)


def quoted(value: object) -> str:
    """Return a string or a list of strings as TOML, whose basic strings have the syntax of JSON."""
    return json.dumps(value, ensure_ascii=False)


def toml(values: Mapping[str, str]) -> str:
    """Return `values` as lines of TOML."""
    return "\n".join(f"{name} = {quoted(value)}" for name, value in values.items())


def units_of(desired: Project) -> dict[str, str]:
    """Return the text of each unit, by name."""
    return {file.path.name: file.content for file in render(desired).files if file.section}


def directives_of(text: str) -> dict[str, list[str]]:
    """Return the values of each directive of a unit file, by name."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found
